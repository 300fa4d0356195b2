# Redis: a scripted server that says what no real one should.  Nothing of it becomes a backup.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use FakeRedis;
use RedisTest;
use Test::More;
use Time::HiRes qw(sleep);

my ($settings, $store, $directory) = mover_settings();

sub slurp
{
    my ($file) = @_;
    open my $fh, '<:raw', $file or die "$file: $!";
    local $/;
    return <$fh>;
}

my $rdb = slurp("$ENV{SOURCE_DIR}/test/fuzz/corpus/rdb/redis-7.0-all.rdb");
my $mark = join '', map { sprintf '%x', $_ * 7 % 16 } 1 .. 40;
sub try { return backup_of_fake($settings, $store, @_) }
sub bulk { my ($text) = @_; return '$' . length($text) . "\r\n$text\r\n" }

my $head = "\$EOF:$mark\r\n";

# What a server may do.
for my $case (
    [ 'in one piece', [ $head . $rdb . $mark ] ],
    [ 'byte by byte at the seams', [ "\n", "\n", substr($head, 0, 10), substr($head, 10), substr($rdb, 0, -3), substr($rdb, -3) . substr($mark, 0, 5), substr($mark, 5, 34), substr($mark, 39) ] ],
    [ 'in hundreds of pieces', [ split //, $head . substr($rdb, 0, 500) ] ],
    [ 'followed by a stream of writes', [ $head . $rdb . $mark . "*1\r\n\$4\r\nPING\r\n" ] ],
    [ 'with a length', [ "\n" . '$' . length($rdb) . "\r\n", substr($rdb, 0, 5000), substr($rdb, 5000) ] ],
    [ 'with a length, and writes behind it', [ '$' . length($rdb) . "\r\n$rdb*1\r\n\$4\r\nPING\r\n" ] ],
  )
{
    my ($name, $pieces) = @$case;
    push @$pieces, substr($rdb, 500) . $mark if $name =~ /hundreds/;
    my $got = try(SYNC => $pieces);
    is($got->{done}{event}, 'done', "a snapshot $name") or diag explain $got->{done};
    is($got->{done}{raw_bytes}, length $rdb, 'its bytes, no more and no fewer');
    is($got->{done}{counts}{keys}, 25, 'its keys');
}

# Valkey 9 writes for a replica that does not tell its version as 7.2 did, and gives up at what that had not.
{
    my $valkey = slurp("$ENV{SOURCE_DIR}/test/fuzz/corpus/rdb/valkey-9.1-all.rdb");
    my $got = try(
        INFO => bulk("# Server\r\nredis_version:7.2.4\r\nvalkey_version:9.1.2\r\ndb0:keys=23,expires=1,avg_ttl=0\r\n"),
        SYNC => sub { [ $head . (grep({ $_ eq 'REPLCONF version 9.0.0' } @_) ? $valkey . $mark : '') ] });
    is($got->{done}{event}, 'done', 'a Valkey 9 is told for whom it writes') or diag explain $got->{done};
    is($got->{done}{counts}{rdb_version}, 80, 'and writes its own version');
}

# What must not become a backup.
my $flipped = $rdb;
substr($flipped, 9000, 1) ^= "\x01";
for my $case (
    [ 'nothing', [ $head ], 'dump', qr/before the end of its snapshot/ ],
    [ 'an empty file', [ $head . $mark ], 'too_small', qr/is empty/ ],
    [ 'a file that is cut', [ $head . substr($rdb, 0, 9000) ], 'dump', qr/before the end of its snapshot/ ],
    [ 'a file without its mark', [ $head . $rdb ], 'dump', qr/before the end of its snapshot/ ],
    [ 'a file cut, with a mark', [ $head . substr($rdb, 0, 9000) . $mark ], 'dump', qr/ends before the file's end/ ],
    [ 'bytes between file and mark', [ $head . $rdb . 'xyz' . $mark ], 'dump', qr/bytes follow/ ],
    [ 'one bit changed', [ $head . $flipped . $mark ], 'dump', qr/checksum|broken/ ],
    [ 'a length that is too long', [ '$' . (length($rdb) + 1) . "\r\n$rdb" ], 'dump', qr/before the end of its snapshot/ ],
    [ 'a length that is too short', [ '$' . (length($rdb) - 1) . "\r\n$rdb" ], 'dump', qr/ends before the file's end/ ],
    [ 'a length of zero', [ "\$0\r\n" ], 'too_small', qr/is empty/ ],
    [ 'a length that is none', [ "\$abc\r\n$rdb" ], 'dump', qr/answered SYNC with/ ],
    [ 'another reply', [ "+FULLRESYNC x 0\r\n" ], 'dump', qr/answered SYNC with/ ],
    [ 'a line without end', [ 'x' x 5000 ], 'dump', qr/a line without end/ ],
    [ 'a master that is lost', [ "-NOMASTERLINK Can't SYNC while not connected with my master\r\n" ], 'unreachable', qr/NOMASTERLINK/ ],
  )
{
    my ($name, $pieces, $reason, $detail) = @$case;
    my $got = try(SYNC => $pieces);
    is($got->{done}{reason}, $reason, "$name: $reason") or diag explain $got->{done};
    like($got->{done}{detail}, $detail, "$name: said");
}
for my $case (
    [ 'an endless reply', [ INFO => [ '$99999999999999' . "\r\n" ] ], qr/more than 256 MiB at once/ ],
    [ 'an array of millions', [ 'CONFIG GET' => "*99999999\r\n" ], qr/more than 256 MiB at once/ ],
    [ 'arrays in arrays', [ 'CONFIG GET' => "*1\r\n" x 50 ], qr/does not speak/ ],
    [ 'a length that is a word', [ INFO => "\$many\r\n" ], qr/does not speak/ ],
    [ 'a bulk without its end', [ INFO => "\$3\r\nabcde\r\n" ], qr/does not speak/ ],
    [ 'still loading', [ INFO => "-LOADING Redis is loading the dataset in memory\r\n" ], qr/LOADING/ ],
  )
{
    my ($name, $answer, $detail) = @$case;
    my $got = try(@$answer);
    is($got->{done}{reason}, 'unreachable', "$name: unreachable") or diag explain $got->{done};
    like($got->{done}{detail}, $detail, "$name: said");
}
for my $mode ('redis_mode', 'server_mode')
{
    my $got = try(INFO => bulk("# Server\r\nvalkey_version:8.1.1\r\n$mode:sentinel\r\n"));
    is($got->{done}{reason}, 'bad_url', "$mode:sentinel, as Redis and Valkey say it");
}
my @left = glob "$directory/store/*/*";
is(scalar(grep { /\.gz$/ } @left), 7, 'the store holds the seven good ones alone') or diag "@left";

# The real server, killed or stopped in the middle of its snapshot.
{
    my $server = start_redis(conf => "rdb-key-save-delay 200\n");
    $server->client->do('EVAL', 'for i = 1, 20000 do redis.call("SET", "key:" .. i, string.rep("v", 100)) end', 0);
    my $job = backup_job($settings, $store, redis_url($server), engine => 'redis', type => 'redis');
    my $saves = sub { $server->client->do('INFO', 'persistence') =~ /rdb_bgsave_in_progress:1/ };
    my $run = start_mover($settings, $job);
    wait_for($saves, 20, 'the server sends its snapshot');
    $server->stop;
    my $event = last_event(run_mover($run));
    is($event->{reason}, 'dump', 'the server killed during its snapshot: dump') or diag explain $event;

    $server->start;
    $server->client->do('EVAL', 'for i = 1, 20000 do redis.call("SET", "key:" .. i, string.rep("v", 100)) end', 0);
    $run = start_mover($settings, { %$job, attempt_id => new_uuid() });
    wait_for($saves, 20, 'the server sends its snapshot');
    kill 'TERM', $run->{pid};
    my $result = run_mover($run);
    is(last_event($result)->{reason}, 'cancelled', 'SIGTERM during a snapshot: cancelled');
    ok($result->{seconds} < 10, 'at once');
    wait_for(sub { $server->client->do('INFO', 'replication') =~ /connected_slaves:0/ }, 20, 'no replica left');
}

done_testing();
