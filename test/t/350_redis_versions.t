# Redis 7.0, Redis 8 and Valkey, from one to the other: this machine's own, and those of the newer Debians in
# CUSTBACKUP_CHROOTS (test/bin/check-release makes them).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use RedisTest;
use Test::More;

my ($settings, $store, $directory) = mover_settings();
my $chroots = $ENV{CUSTBACKUP_CHROOTS} // '/var/cache/custbackup-chroots';

# A program of another Debian, by its own loader and libraries.
sub foreign
{
    my ($debian, $name) = @_;
    my $root = "$chroots/$debian";
    my $program = "$root/usr/bin/$name";
    my ($loader) = glob "$root/lib64/ld-linux-*.so.*";
    my $libraries = join ':', grep { -d } glob "$root/usr/lib/*-linux-gnu $root/lib/*-linux-gnu";
    return unless -x $program && $loader;
    my $script = "$directory/$debian-$name";
    append_to_file($script, "#!/bin/sh\nexec $loader --library-path $libraries $program \"\$@\"\n");
    chmod 0755, $script;
    return system("$script --version >/dev/null 2>&1") == 0 ? $script : undef;
}

sub append_to_file
{
    my ($file, $text) = @_;
    open my $fh, '>>', $file or die $!;
    print $fh $text;
    close $fh or die $!;
}

# 'Redis 8.0' => program; undef: the one that start_redis() finds.
my %binary;
for my $program (undef, (grep { -x } '/usr/bin/valkey-server'),
    map { my $debian = $_; map { foreign($debian, $_) } 'redis-server', 'valkey-server' } 'trixie', 'sid')
{
    my $server = start_redis($program ? (binary => $program) : ());
    my $name = $server->version;
    $binary{$name} //= { program => $program, server => $server, rdb => $server->rdb_version };
}
plan skip_all => "one Redis alone, and no other in $chroots" if keys %binary < 2;

sub start_one { my ($name) = @_; return start_redis($binary{$name}{program} ? (binary => $binary{$name}{program}) : ()) }

my %server = map { $_ => $binary{$_}{server} } keys %binary;
my %rdb = map { $_ => $binary{$_}{rdb} } keys %binary;
note(explain(\%rdb));

# Type and encoding may differ from one to the other; what is in a key may not.
sub contents
{
    my ($server) = @_;
    return join "\n", map { /^functions/ ? 'functions ' . (/6d796c6962/ ? 'mylib' : '') : $_ }
      map { s/^(\S+ .*? (?:string|list|set|zset|hash|stream)) \S+ (-?\d+ [0-9a-f]{40}).*$/$1 $2/sr } split /\n(?=\d+ |functions)/,
      $server->everything;
}

# The newest file that a server takes from another: Valkey has not followed what Redis made of 12 to 79.
sub newest_taken
{
    my ($to, $from) = @_;
    return $rdb{$to} >= 80 && $rdb{$from} < 80 ? 11 : $rdb{$to};
}

for my $from (sort keys %server)
{
    $server{$from}->client->do('FLUSHALL');
    fill_everything($server{$from});
    my $all = $server{$from}->everything;
    my $backup = redis_backup($settings, $store, redis_url($server{$from}));
    is($backup->{done}{event}, 'done', "$from: backup") or diag explain $backup->{done};
    is($backup->{done}{counts}{rdb_version}, $rdb{$from}, "$from: RDB version");
    like($backup->{done}{server}, qr/^\Q$from\E\./, "$from: named");
    my $scanned = redis_backup($settings, $store, redis_url($server{$from}, database => 0));
    is($scanned->{done}{consistency}, 'per key', "$from: database 0 key by key");
    for my $to (sort keys %server)
    {
        my $target = start_one($to);
        for my $way ($backup, $scanned)
        {
            my $url = redis_url($target, $way == $scanned ? (database => 0) : ());
            my $name = "$from to $to, $way->{done}{consistency}";
            my $got = redis_restore($settings, $store, $url, $way, mode => 'clone');
            my $taken = newest_taken($to, $from);
            if ($rdb{$from} > $taken)
            {
                is($got->{done}{reason}, 'not_restorable', "$name: refused") or diag explain $got->{done};
                like($got->{done}{detail}, qr/of RDB version $rdb{$from} \(\Q$from\E\.\d+\), .* \Q$to\E\.\d+, takes RDB version $taken at most/,
                    'both versions named');
                ok(!$got->{done}{target_modified}, 'and the row knows');
                is($target->client->do('INFO', 'keyspace'), "# Keyspace\r\n", 'nothing was touched');
                next;
            }
            is($got->{done}{event}, 'done', "$name: restored") or diag explain $got->{done};
            if ($way == $scanned)
            {
                is($target->client->do('DBSIZE'), $server{$from}->client->do('DBSIZE'), "$name: all keys");
            }
            elsif ($from eq $to)
            {
                same($target->everything, $all, "$name: everything");
            }
            else
            {
                same(contents($target), contents($server{$from}), "$name: what is in every key");
            }
            $target->client->do('FLUSHALL');
            $target->client->do('FUNCTION', 'FLUSH');
        }
    }
}

# Functions that load on the server that they come from alone: known before anything is touched.
{
    my ($from) = sort { $rdb{$a} <=> $rdb{$b} } keys %server;
    my ($to) = grep { $_ ne $from && $rdb{$from} <= newest_taken($_, $from) } sort keys %server;
    my $source = start_one($from);
    my $version = $source->client->do('EVAL', 'return redis.REDIS_VERSION', 0);
    my $load = sub { $_[0]->client->do('FUNCTION', 'LOAD', "#!lua name=$_[1]\n$_[2]\nredis.register_function('$_[1]', function() return 1 end)") };
    $load->($source, 'picky', "if redis.REDIS_VERSION ~= '$version' then not_for_this_one() end");
    $source->client->do('SET', 'key', 'of the backup');
    my $backup = redis_backup($settings, $store, redis_url($source));
    for my $databases (16, 1)
    {
        my $target = start_redis(conf => "databases $databases\n", $binary{$to}{program} ? (binary => $binary{$to}{program}) : ());
        $load->($target, 'own', '');
        $target->client->do('SET', 'mine', 1);
        my $before = $target->everything;
        my $got = redis_restore($settings, $store, redis_url($target), $backup);
        my $name = "$from to $to of $databases databases, functions that do not load";
        is($got->{done}{reason}, 'not_restorable', $name) or diag explain $got->{done};
        like($got->{done}{detail}, qr/FUNCTION RESTORE of the backup's functions.*not_for_this_one/s, 'the row says what');
        ok(!$got->{done}{target_modified}, 'target not modified');
        same($target->everything, $before, 'which is true');
    }
}

# Hashes whose fields all expire, and they with them, before their own time.
for my $name (sort keys %server)
{
    my $source = start_one($name);
    my $r = $source->client;
    $r->do('HSET', 'probe', a => 1);
    next if $r->ask('HPEXPIRE', 'probe', 100000, 'FIELDS', 1, 'a') =~ /unknown/;
    for my $key (map { "h$_" } 1 .. 200)
    {
        $r->do('HSET', $key, a => 1);
        $r->do('EXPIRE', $key, 86400);
        $r->do('HPEXPIRE', $key, 1000, 'FIELDS', 1, 'a');
    }
    strings($source, 5000, 10);
    my $backup = redis_backup($settings, $store, redis_url($source));
    wait_for(sub { $r->do('DBSIZE') == 5001 }, 30, 'the fields are over');
    my $target = start_redis(conf => "hz 500\n", $binary{$name}{program} ? (binary => $binary{$name}{program}) : ());
    my $got = redis_restore($settings, $store, redis_url($target), $backup);
    is($got->{done}{event}, 'done', "$name: hashes whose fields have expired since") or diag explain $got->{done};
    wait_for(sub { $target->client->do('DBSIZE') == 5001 }, 30, 'they go there too');
}

done_testing();
