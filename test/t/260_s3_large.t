# An object of 3 GiB, of which nothing was known before: within the memory budget, up and down.
use strict;
use warnings;

use MemoryTest;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;

use constant GIB => 1024 * 1024 * 1024;

my $sparse = PostgreSQL::Test::Utils::tempdir() . '/sparse';
open my $fh, '>', $sparse or die $!;
# Not zeros all over: each GiB says which it is.
for my $gib (0 .. 2) { seek $fh, $gib * GIB + 12_345, 0; print $fh "this is GiB $gib" }
truncate $fh, 3 * GIB + 1 or die $!;
close $fh or die $!;
my $sha256 = file_sha256($sparse);

for my $server (start_s3_servers())
{
    make_bucket($server, 'large');
    my $url = store_url($server, 'large', 'p');
    my $key = new_key();
    my $put = store({ stdin => $sparse }, 'put', $url, $key);
    is($put->{bytes}, 3 * GIB + 1, "$server->{name}: 3 GiB and a byte are stored") or diag explain $put;
    is($put->{sha256}, $sha256, '  all of them were sent');
    memory_is_below($put->{max_rss_kib}, (64 + 32) * 1024, '  within the budget plus 32 MiB');
    my $get = store({}, 'get', $url, $key);
    is($get->{sha256}, $sha256, '  and come back');
    memory_is_below($get->{max_rss_kib}, 48 * 1024, '  in little memory');
    is(store({}, 'remove', $url, $key)->{reason}, undef, '  and are removed');
}

done_testing();
