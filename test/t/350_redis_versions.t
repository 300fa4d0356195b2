# Redis 7.0, Redis 8 and Valkey, from one to the other: this machine's own, and those of a Debian 13 in
# CUSTBACKUP_CHROOTS (test/bin/check-release makes one).
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use RedisTest;
use Test::More;

my ($settings, $store, $directory) = mover_settings();
my $trixie = ($ENV{CUSTBACKUP_CHROOTS} // '/var/cache/custbackup-chroots') . '/trixie';

# A program of the other Debian, by its own loader and libraries.
sub foreign
{
    my ($name) = @_;
    my $program = "$trixie/usr/bin/$name";
    my ($loader) = glob "$trixie/lib64/ld-linux-*.so.*";
    my $libraries = join ':', grep { -d } glob "$trixie/usr/lib/*-linux-gnu $trixie/lib/*-linux-gnu";
    return unless -x $program && $loader;
    my $script = "$directory/$name";
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
for my $program (undef, (grep { -x } '/usr/bin/valkey-server'), foreign('redis-server'), foreign('valkey-server'))
{
    my $server = start_redis($program ? (binary => $program) : ());
    my $name = $server->version;
    $binary{$name} //= { program => $program, server => $server, rdb => $server->rdb_version };
}
plan skip_all => "one Redis alone, and no other in $trixie" if keys %binary < 2;

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
            # What Valkey takes of Redis ends with the last version that both write.
            my $limit = $rdb{$to} >= 80 && $rdb{$from} < 80 ? 11 : $rdb{$to};
            if ($rdb{$from} > $limit)
            {
                is($got->{done}{reason}, 'not_restorable', "$name: refused") or diag explain $got->{done};
                like($got->{done}{detail}, qr/RDB version $rdb{$from} .* takes RDB version $limit at most/, 'both versions named');
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

done_testing();
