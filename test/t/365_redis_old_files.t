# Redis: files as servers of long ago wrote them, in encodings that none writes any more, into a server of today;
# and what modules leave in a file.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use FakeRedis;
use RedisTest;
use Test::More;

my ($settings, $store) = mover_settings();

# ---- the pieces of a file

sub rdb_string { my ($text) = @_; return chr(length $text) . $text }
sub listed { my ($count, @pieces) = @_; return chr($count) . join '', @pieces }
sub key { my ($type, $name, $value) = @_; return chr($type) . rdb_string($name) . $value }

# Little entries: each tells how long the one before it was.
sub ziplist
{
    my ($before, $entries) = (0, '');
    for my $text (@_)
    {
        my $entry = chr($before) . chr(length $text) . $text;
        $entries .= $entry;
        $before = length $entry;
    }
    return rdb_string(pack('VVv', 11 + length $entries, 10 + length($entries) - $before, scalar @_) . $entries . "\xff");
}

sub zipmap
{
    my (@pairs) = @_;
    my $text = chr(@pairs / 2);
    while (my ($name, $value) = splice @pairs, 0, 2) { $text .= rdb_string($name) . chr(length $value) . "\0$value" }
    return rdb_string("$text\xff");
}

# Its checksum of zero: the server was told to compute none.
sub file { my ($version, @pieces) = @_; return sprintf('REDIS%04d', $version) . join('', @pieces, "\xff", "\0" x 8) }

sub restored
{
    my ($name, $rdb, %option) = @_;
    my $backup = backup_of_fake($settings, $store, SYNC => '$' . length($rdb) . "\r\n$rdb");
    is($backup->{done}{event}, 'done', "$name: read") or diag explain $backup->{done};
    my $target = start_redis(%option);
    return ($target, redis_restore($settings, $store, redis_url($target), $backup, mode => 'clone'));
}

# ---- each version brought something

my $lasts = 4102444800;
my @six = (
    "\xfe\0",
    key(0, 'text', rdb_string('hello')),
    key(0, 'number', "\xc1\x39\x30"),
    key(0, 'packed', "\xc3\x07\x28\x00a\xe0\x1d\x00\x00a"),
    "\xfd" . pack('V', 2147483647) . key(0, 'seconds', rdb_string('until')),
    "\xfc" . pack('Q<', $lasts * 1000 + 7) . key(0, 'milliseconds', rdb_string('until')),
    key(1, 'list', listed(2, map { rdb_string($_) } 'one', 'two')),
    key(2, 'set', listed(2, map { rdb_string($_) } 'a', 'b')),
    key(3, 'scores', listed(3, rdb_string('m'), "\x032.5", rdb_string('n'), "\xfe", rdb_string('o'), "\xff")),
    key(4, 'hash', listed(1, rdb_string('f'), rdb_string('v'))),
    key(9, 'zipmap', zipmap(f => 'v', g => 'w')),
    key(10, 'ziplist', ziplist('one', 'two', 'three')),
    key(11, 'intset', rdb_string(pack 'VVvvv', 2, 3, 1, 2, 300)),
    key(12, 'zset', ziplist(a => 1, b => '2.5')),
    key(13, 'ziphash', ziplist(f => 'v', g => 'w')),
);
my @commands = (
    [ 'SET', 'text', 'hello' ], [ 'SET', 'number', 12345 ], [ 'SET', 'packed', 'a' x 40 ],
    [ 'SET', 'seconds', 'until', 'EXAT', 2147483647 ], [ 'SET', 'milliseconds', 'until', 'PXAT', $lasts * 1000 + 7 ],
    [ 'RPUSH', 'list', 'one', 'two' ], [ 'SADD', 'set', 'a', 'b' ], [ 'ZADD', 'scores', 2.5, 'm', 'inf', 'n', '-inf', 'o' ],
    [ 'HSET', 'hash', 'f', 'v' ], [ 'HSET', 'zipmap', 'f', 'v', 'g', 'w' ], [ 'RPUSH', 'ziplist', 'one', 'two', 'three' ],
    [ 'SADD', 'intset', 1, 2, 300 ], [ 'ZADD', 'zset', 1, 'a', 2.5, 'b' ], [ 'HSET', 'ziphash', 'f', 'v', 'g', 'w' ],
);
my %brought = (
    6 => [ [], [] ],
    7 => [
        [ "\xfa" . rdb_string('redis-ver') . rdb_string('3.2.1'), "\xfb\x01\x00", key(14, 'quicklist', listed(2, ziplist('one', 'two'), ziplist('three'))) ],
        [ [ 'RPUSH', 'quicklist', 'one', 'two', 'three' ] ],
    ],
    8 => [ [ key(5, 'doubles', listed(1, rdb_string('m'), pack 'd<', 0.125)) ], [ [ 'ZADD', 'doubles', 0.125, 'm' ] ] ],
    9 => [ [ "\xf8\x05" . key(0, 'idle', rdb_string('x')), "\xf9\x07" . key(0, 'often', rdb_string('y')) ], [ [ 'SET', 'idle', 'x' ], [ 'SET', 'often', 'y' ] ] ],
);
my (@pieces, @more);
for my $version (sort keys %brought)
{
    push @pieces, @{ $brought{$version}[0] };
    push @more, @{ $brought{$version}[1] };
    my ($target, $got) = restored("a file of version $version", file($version, @six, @pieces));
    is($got->{done}{event}, 'done', "version $version: restored") or diag explain $got->{done};
    my $wanted = start_redis();
    $wanted->client->do(@$_) for @commands, @more;
    is($target->client->do('DEBUG', 'DIGEST'), $wanted->client->do('DEBUG', 'DIGEST'), "version $version: every key is what it was")
      or diag $target->everything, "\n--\n", $wanted->everything;
    is($got->{done}{counts}{rdb_version}, $version, 'counted as such');
}

# ---- a key twice: no server writes that, and none loads it

for my $swaps (1, 0)
{
    my ($target, $got) = restored('a key twice', file(9, @six, $six[1]), conf => $swaps ? '' : "rename-command SWAPDB \"\"\n");
    is($got->{done}{event}, $swaps ? 'failed' : 'done', 'is found by counting') or diag explain $got->{done};
    like($swaps ? $got->{done}{detail} : $got->{done}{left_alone}[1], $swaps ? qr/15 keys .* target counts 14/ : qr/lacks 1 of .* the backup has keys twice/, 'and said');
    is($target->client->do('DBSIZE'), $swaps ? 0 : 14, 'what is there');
}

# ---- modules: their own data in no key, and values that only they understand

my $id = "\x81" . "\0" x 8;
my $aux = "\xf7$id\x02\x01\x05\x03abc\x00";
{
    my ($target, $got) = restored('data of modules beside the keys', file(9, $aux, @six, $aux));
    is($got->{done}{event}, 'done', 'the keys are restored') or diag explain $got->{done};
    is($got->{done}{counts}{module_aux}, 2, 'the rest is counted');
    like($got->{done}{left_alone}[0], qr/^2 pieces of modules' own data \(MODULE_AUX\)/, 'and said');
    is($target->client->do('DBSIZE'), scalar @commands, 'all keys');
}
for my $swaps (1, 0)
{
    my ($target, $got) = restored('a value of a module', file(9, @six, key(7, 'of a module', "$id\x02\x01\x00")),
        conf => $swaps ? '' : "rename-command SWAPDB \"\"\n");
    is($got->{done}{reason}, $swaps ? 'restore' : 'not_restorable', 'that the target does not have') or diag explain $got->{done};
    like($got->{done}{detail}, $swaps ? qr/refused RESTORE of key "of a module"/ : qr/values of modules/, 'said');
    ok(!$got->{done}{target_modified}, 'not modified');
    is($target->client->do('INFO', 'keyspace'), "# Keyspace\r\n", 'nothing is left of it');
}

done_testing();
