# MemoryTest.pm
#
# Limits of resident memory, which hold for the mover as it is shipped: a sanitized one holds shadows and
# quarantines of what it has freed.
package MemoryTest;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

our @EXPORT = qw(memory_is_below);

sub memory_is_below
{
    my ($kib, $limit_kib, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
  SKIP:
    {
        skip 'memory is measured in the plain run', 1 if ($ENV{CUSTBACKUP_BIN} // '') =~ /asan/;
        ok($kib > 0 && $kib < $limit_kib, "$name ($kib KiB)") or diag "not below $limit_kib KiB";
    }
    return;
}

1;
