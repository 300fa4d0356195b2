# MemoryTest.pm
#
# Limits of resident memory, which hold for the mover as it is shipped: a sanitized one holds shadows and
# quarantines of what it has freed.
package MemoryTest;

use strict;
use warnings;

use Exporter 'import';
use CustbackupTest;
use Test::More;
use Time::HiRes qw(sleep);

our @EXPORT = qw(memory_is_below peak_while is_sanitized);

sub is_sanitized { return ($ENV{CUSTBACKUP_BIN} // '') =~ /asan/ }

# What run_mover() gives, and the mover's highest resident memory in KiB.
sub peak_while
{
    my ($settings, $job) = @_;
    my $run = start_mover($settings, $job);
    my $peak = 0;
    while ($run->{harness}->pumpable)
    {
        if (open my $fh, '<', "/proc/$run->{pid}/status")
        {
            my ($now) = join('', <$fh>) =~ /^VmHWM:\s+(\d+) kB/m;
            $peak = $now if defined $now && $now > $peak;
        }
        $run->{harness}->pump_nb;
        sleep 0.02;
    }
    return (run_mover($run), $peak);
}

sub memory_is_below
{
    my ($kib, $limit_kib, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
  SKIP:
    {
        skip 'memory is measured in the plain run', 1 if is_sanitized();
        ok($kib > 0 && $kib < $limit_kib, "$name ($kib KiB)") or diag "not below $limit_kib KiB";
    }
    return;
}

1;
