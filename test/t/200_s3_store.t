# Buckets behind store.h, on two servers of different make: every operation, every size that
# has an edge, keys and prefixes that hold what is special, and other people's objects.
use strict;
use warnings;

use MemoryTest;
use PostgreSQL::Test::Utils;
use S3Test;
use Test::More;
use Time::HiRes qw(sleep time);

use constant MIB => 1024 * 1024;

my @servers = start_s3_servers();

# One part minus and plus one byte, two parts exactly, and nothing at all.
my %files = map { $_ => random_file($_) } (0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 10 * MIB, 26 * MIB + 17);

for my $server (@servers)
{
    my $name = $server->{name};
    make_bucket($server, 'backups');

    for my $size (sort { $a <=> $b } keys %files)
    {
        my $url = store_url($server, 'backups', 'p', 'part_size=5MiB');
        my $key = new_key();
        my $put = store({ stdin => $files{$size} }, 'put', $url, $key);
        is($put->{bytes}, $size, "$name: $size bytes are stored") or diag explain $put;
        is(defined $put->{upload_id} ? 1 : 0, $size > 5 * MIB ? 1 : 0, '  in parts only beyond one part');
        is($put->{attempt_id}, 'attempt-of-a-test', '  with the attempt in the metadata');
        my $get = store({}, 'get', $url, $key);
        is($get->{sha256}, file_sha256($files{$size}), '  and come back as they were');
        is($get->{bytes}, $size, '  all of them');
        is_deeply(store({}, 'remove', $url, $key)->{reason}, undef, '  and are removed');
        ok(store({}, 'head', $url, $key)->{missing}, '  and are gone');
        ok(store({}, 'get', $url, $key)->{missing}, '  for a download too');
        is(store({}, 'remove', $url, $key)->{reason}, undef, '  removing once more is no failure');
    }

    # What SigV4 and XML stumble over.
    for my $prefix ('%2B/%25/%3D/~', 'with%20blank', '%C3%A9%E2%82%AC', 'a%26b%3Cc%3E%22%27', 'x%252Fy', '%3Fq%3D1%23f')
    {
        my $url = store_url($server, 'backups', $prefix, 'part_size=5MiB');
        my $key = new_key();
        is(store({ stdin => $files{ 5 * MIB + 1 } }, 'put', $url, $key)->{bytes}, 5 * MIB + 1, "$name: prefix $prefix");
        is_deeply([ map { $_->{key} } @{ store({}, 'list', $url)->{list} } ], [$key], '  is listed');
        is(store({}, 'get', $url, $key)->{sha256}, file_sha256($files{ 5 * MIB + 1 }), '  is read');
        is(store({}, 'remove', $url, $key)->{reason}, undef, '  is removed');
    }

    # A key that is taken is never overwritten.
    {
        my $url = store_url($server, 'backups', 'taken', 'part_size=5MiB');
        my $key = new_key();
        store({ stdin => $files{1} }, 'put', $url, $key);
        my $again = store({ stdin => $files{ 26 * MIB + 17 } }, 'put', $url, $key);
        is($again->{reason}, 'upload', "$name: a key that is taken is refused");
        like($again->{detail}, qr/there is an object under .* already/, '  and says so');
        is(store({}, 'get', $url, $key)->{sha256}, file_sha256($files{1}), '  and the object is what it was');
    }

    # Only what follows our pattern under our prefix is ours.
    {
        my $url = store_url($server, 'backups', 'shared', '');
        my @ours = sort map { new_key() } 1 .. 3;
        store({ stdin => $files{1} }, 'put', $url, $_) for @ours;
        for my $foreign ('acme-main/photo.jpg', 'readme.txt', 'acme-main/018f0000.dump.gz', 'a/b/c.json')
        {
            store({}, 'request', $url, 'PUT', $foreign);
        }
        store({}, 'request', store_url($server, 'backups', 'shared-not', ''), 'PUT', new_key());
        is_deeply([ sort map { $_->{key} } @{ store({}, 'list', $url)->{list} } ], \@ours,
            "$name: other people's objects are not listed");
        my ($token) = $ours[0] =~ m{^([^/]+/)};
        is(scalar @{ store({}, 'list', $url, $token)->{list} }, 3, '  nor under a token');
        is(scalar @{ store({}, 'list', $url, 'nobody/')->{list} }, 0, '  and another token has none');
    }

    # More than one page.
    {
        my $url = store_url($server, 'backups', 'many', 'part_size=5MiB');
        my $script = join "\n", map { new_key() } 1 .. 1205;
        my $list = PostgreSQL::Test::Utils::tempdir() . '/keys';
        append_to_file($list, "$script\n");
        is(store({ stdin => $list }, 'put-many', $url)->{put}, 1205, "$name: 1,205 objects");
        is(scalar @{ store({}, 'list', $url)->{list} }, 1205, '  are listed over two pages');
    }

    # A cancelled upload leaves nothing; a killed one leaves what its announced id can abort.
    for my $signal ('TERM', 'KILL')
    {
        my $url = store_url($server, 'backups', 'cancelled', 'part_size=5MiB');
        my $key = new_key();
        my $fifo = PostgreSQL::Test::Utils::tempdir() . '/fifo';
        POSIX::mkfifo($fifo, 0600) or die $!;
        my $writer = fork // die $!;
        if ($writer == 0)
        {
            open my $out, '>', $fifo or POSIX::_exit(1);
            syswrite $out, 'x' x MIB for 1 .. 12;
            sleep 60;
            POSIX::_exit(0);
        }
        my $run = start_store({ stdin => $fifo }, 'put', $url, $key);
        $run->{harness}->pump until $run->{err} =~ /upload_id (\S+)\n/;
        my ($id) = $run->{err} =~ /upload_id (\S+)\n/;
        sleep 1;
        kill $signal, $run->{pid};
        my $end = time;
        my $result = finish_store($run);
        kill 'KILL', $writer;
        waitpid $writer, 0;
        if ($signal eq 'TERM')
        {
            is($result->{reason}, 'cancelled', "$name: SIGTERM cancels an upload");
            cmp_ok(time - $end, '<', 5, '  within its grace');
            is_deeply(store({}, 'uploads', $url)->{uploads}, [], '  and nothing is left');
        }
        else
        {
            my $left = store({}, 'uploads', $url)->{uploads};
            is_deeply([ map { [ $_->{key}, $_->{upload_id} ] } @$left ], [ [ $key, $id ] ],
                "$name: what a killed mover leaves is listed");
            is(store({}, 'abort', $url, $key, $id)->{reason}, undef, '  and aborted by the announced id');
            is_deeply(store({}, 'uploads', $url)->{uploads}, [], '  and gone');
            is(store({}, 'abort', $url, $key, $id)->{reason}, undef, '  aborting once more is no failure');
        }
        ok(store({}, 'head', $url, $key)->{missing}, '  no object is there');
    }

    # Parts that do not fit the budget wait in spools.
    {
        my $url = store_url($server, 'backups', 'spooled', 'part_size=12MiB');
        my $settings = store_settings(memory_budget => 16 * MIB);
        my $key = new_key();
        my $put = store({ stdin => $files{ 26 * MIB + 17 }, settings => $settings }, 'put', $url, $key);
        is($put->{bytes}, 26 * MIB + 17, "$name: parts beyond the memory budget");
        memory_is_below($put->{max_rss_kib}, (16 + 32) * 1024, '  stay within budget plus 32 MiB');
        is(store({}, 'get', $url, $key)->{sha256}, file_sha256($files{ 26 * MIB + 17 }), '  and arrive');
    }

    # A small spool makes it slow, not impossible, down to one part; below that it is refused at once.
    SKIP:
    {
        skip 'no user namespaces here', 5 if system(q(unshare -Urm true 2>/dev/null)) != 0;
        my $url = store_url($server, 'backups', 'small-spool', 'part_size=12MiB');
        my $settings = store_settings(memory_budget => 16 * MIB);
        my ($spool) = slurp_file($settings) =~ /"spool_dir":"([^"]+)"/;
        my $with_room = sub {
            return [ 'unshare', '-Urm', 'sh', '-c', "mount -t tmpfs -o size=$_[0] none '$spool' && exec \"\$@\"", 'sh' ];
        };
        my $key = new_key();
        my $put = store({ stdin => $files{ 26 * MIB + 17 }, settings => $settings, prefix => $with_room->('20m') }, 'put', $url, $key);
        is($put->{bytes}, 26 * MIB + 17, "$name: a spool with room for one part") or diag explain $put;
        is(store({}, 'get', $url, $key)->{sha256}, file_sha256($files{ 26 * MIB + 17 }), '  is enough');
        $put = store({ stdin => $files{ 26 * MIB + 17 }, settings => $settings, prefix => $with_room->('8m') }, 'put', $url, new_key());
        is($put->{reason}, 'config', "$name: a spool with room for none") or diag explain $put;
        like($put->{detail}, qr/a part of \d+ bytes does not fit into the spool in "\Q$spool\E"/, '  is refused');
        is($put->{upload_id}, undef, '  before anything is stored');
    }

    # One limit for all movers of the host: two transfers at once take twice as long.
    {
        my $settings = store_settings(max_bandwidth => 10 * MIB);
        my $url = store_url($server, 'backups', 'slow', 'part_size=5MiB', 'min_speed=100KiB', 'min_speed_time=1');
        my @keys = (new_key(), new_key());
        my $begun = time;
        my @runs = map { start_store({ settings => $settings, stdin => $files{ 26 * MIB + 17 } }, 'put', $url, $_) } @keys;
        is(finish_store($_)->{bytes}, 26 * MIB + 17, "$name: an upload under a limit of bandwidth") for @runs;
        my $seconds = time - $begun;
        cmp_ok($seconds, '>', 4.9, "  52 MiB at 10 MiB/s ($seconds s)");
        cmp_ok($seconds, '<', 25, '  and not much longer');
        $begun = time;
        is(store({ settings => $settings }, 'get', $url, $keys[0])->{sha256}, file_sha256($files{ 26 * MIB + 17 }), '  a download too');
        cmp_ok(time - $begun, '>', 2.3, '  26 MiB at 10 MiB/s');
    }

    # Every way to prove a part.
    for my $option ('checksum=md5', 'checksum=none', 'part_growth=no', 'if_none_match=no', 'parallel=1')
    {
        my $url = store_url($server, 'backups', 'options', 'part_size=5MiB', $option);
        my $key = new_key();
        is(store({ stdin => $files{ 26 * MIB + 17 } }, 'put', $url, $key)->{bytes}, 26 * MIB + 17, "$name: $option");
        is(store({}, 'get', $url, $key)->{sha256}, file_sha256($files{ 26 * MIB + 17 }), '  arrives');
    }
}

done_testing();
