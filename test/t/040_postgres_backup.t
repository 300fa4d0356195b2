# Backups of a real Postgres by the mover alone: what is asked first, which tools are
# taken, and what each failure is called.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use CustbackupTest;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = start_customer();
my ($settings, $store, $directory) = mover_settings();
my $url = customer_url($node);

sub admin { return $node->safe_psql($_[1] // 'shop', $_[0]) }

# One backup; returns 'ok' or the reason, with the detail.
sub backup
{
    my ($customer_url, %option) = @_;
    my $with = { %$settings, %{ $option{settings} // {} } };
    my $result = run_mover($with, backup_job($settings, $store, $customer_url, expected_bytes => $option{expected_bytes}));
    my $event = last_event($result);
    is($result->{exit} == 0 ? 'done' : 'failed', $event->{event}, 'exit status and last word agree');
    unlike($result->{stdout} . $result->{stderr}, qr/s3cret/, 'no password in what was said');
    return ($event->{event} eq 'done' ? 'ok' : $event->{reason}, $event->{detail} // '', $event, $result);
}

sub fails
{
    my ($name, $customer_url, $reason, $detail, %option) = @_;
    my ($got, $said) = backup($customer_url, %option);
    is($got, $reason, "$name: $reason");
    like($said, $detail, "$name: says why");
    return;
}

# ---- it works --------------------------------------------------------------------------------------

admin(q{CREATE TABLE public.t AS SELECT i, md5(i::text) AS v FROM generate_series(1, 1000) i; ALTER TABLE t OWNER TO app});
{
    my ($got, $detail, $event, $result) = backup($url);
    is($got, 'ok', "a backup $detail");
    is($event->{counts}{tables}, 1, 'one table');
    is($event->{counts}{rows}, 1000, 'all rows counted');
    is($event->{consistency}, 'snapshot', 'a snapshot');
    like($event->{server}, qr/^PostgreSQL \d+/, 'the server is named');
    like($event->{tool}, qr/^pg_dump \d+\.\d+/, 'the tool is named');
    my ($started) = grep { $_->{event} eq 'started' } @{ $result->{events} };
    like($started->{tool}, qr/^pg_dump /, 'from the start');
    my $file = "$directory/store/$event->{key}";
    is(system("gzip -dc $file | pg_restore -l >/dev/null"), 0, 'plain tools read it');
}
admin('CREATE DATABASE nothing OWNER app', 'postgres');
is((backup(customer_url($node, database => 'nothing')))[0], 'ok', 'an empty database is a good backup');

# ---- who refuses, and how ----------------------------------------------------------------------------

my $closed = free_port();
my $silent = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
fails('wrong password', customer_url($node, password => 'wrong'), 'auth', qr/28P01/);
fails('no such role', customer_url($node, role => 'nobody_here'), 'auth', qr/28P01|28000/);
fails('no password', "postgresql://app\@127.0.0.1:" . $node->port . '/shop', 'auth', qr/password/);
fails('no such database', customer_url($node, database => 'missing'), 'unreachable', qr/no database "missing" \(3D000\)/);
fails('refused', customer_url($node, port => $closed), 'unreachable', qr/could not reach 127\.0\.0\.1/);
fails('no such host', customer_url($node, host => 'no-such-host.invalid'), 'unreachable', qr/no-such-host\.invalid/);
fails('no TLS', "$url?sslmode=require", 'unreachable', qr/TLS.*SSL/);
{
    my $port = $node->port;
    my $list = $url =~ s/\@127\.0\.0\.1:$port/\@127.0.0.1:$closed,127.0.0.1:$port/r;
    is((backup($list))[0], 'ok', 'the second host of a list answers');
}
admin('REVOKE CONNECT ON DATABASE nothing FROM PUBLIC; ALTER DATABASE nothing OWNER TO CURRENT_USER', 'postgres');
fails('no CONNECT', customer_url($node, database => 'nothing'), 'auth', qr/may not CONNECT/);
admin(q{ALTER ROLE app CONNECTION LIMIT 0}, 'postgres');
fails('no connection left', $url, 'unreachable', qr/no connection left.*53300/);
admin(q{ALTER ROLE app CONNECTION LIMIT -1}, 'postgres');
{
    my $begun = time;
    fails('silence', customer_url($node, port => $silent->sockport), 'unreachable', qr/within 10 s/);
    cmp_ok(time - $begun, '<', 20, 'silence is not waited for long');
}
fails('this host, not allowed', $url, 'bad_url', qr/127\.0\.0\.1/, settings => { allow_local_targets => JSON::PP::false });
fails('a list with this host in it', $url =~ s/\@/\@192.0.2.1,/r, 'bad_url', qr/127\.0\.0\.1/,
    settings => { allow_local_targets => JSON::PP::false });
fails('a socket', 'postgresql://app@%2Ftmp/shop', 'bad_url', qr/Unix socket/);
fails('options', "$url?options=-cx", 'bad_url', qr/"options"/);
fails('an sslmode that is none', "$url?sslmode=required", 'bad_url', qr/invalid sslmode value: "required"/);

# ---- TLS: the tools trust what we trust, and nothing of the operating system's user ------------------------

SKIP:
{
    skip 'no openssl', 1 if system('which openssl >/dev/null 2>&1') != 0;
    my $data = $node->data_dir;
    is(system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost "
            . "-keyout $data/server.key -out $data/server.crt >/dev/null 2>&1"), 0, 'a certificate');
    chmod 0600, "$data/server.key";
    admin(q{ALTER SYSTEM SET ssl = on; SELECT pg_reload_conf()});
    wait_for(sub { admin('SHOW ssl') eq 'on' }, 10, 'TLS is on');
    my $named = $url =~ s/\@127\.0\.0\.1/\@localhost/r;
    my $trusted = { ca_file => "$data/server.crt" };
    is((backup("$url?sslmode=require"))[0], 'ok', 'TLS without looking at the certificate');
    is((backup("$named?sslmode=verify-full", settings => $trusted))[0], 'ok', 'TLS with a certificate that we trust');
    fails('a certificate that nobody knows', "$named?sslmode=verify-full", 'unreachable', qr/TLS.*certificate/);
    fails('a certificate of another name', "$url?sslmode=verify-full", 'unreachable', qr/TLS.*127\.0\.0\.1/, settings => $trusted);
    admin(q{ALTER SYSTEM RESET ssl; SELECT pg_reload_conf()});
}

# ---- rights --------------------------------------------------------------------------------------------

admin(q{CREATE SCHEMA hidden; CREATE TABLE hidden.x (i int)});
fails('a schema that we may not use', $url, 'auth', qr/may not use schema hidden.*GRANT USAGE ON SCHEMA hidden/);
admin(q{DROP SCHEMA hidden CASCADE; CREATE TABLE "odd ""name" (i int); CREATE TABLE another (i int)});
fails('tables that we may not read', $url, 'auth', qr/may not read table public\.(another|"odd ""name") \(and 1 more\): GRANT SELECT ON table public\./);
admin(q{DROP TABLE "odd ""name", another; CREATE SEQUENCE s});
fails('a sequence that we may not read', $url, 'auth', qr/may not read sequence public\.s/);
admin(q{DROP SEQUENCE s; ALTER TABLE t ENABLE ROW LEVEL SECURITY});
is((backup($url))[0], 'ok', 'row level security does not apply to the owner');
admin(q{ALTER TABLE t FORCE ROW LEVEL SECURITY});
fails('forced row level security', $url, 'auth', qr/row level security hides rows of public\.t.*NO FORCE ROW LEVEL SECURITY/);
admin(q{ALTER TABLE t NO FORCE ROW LEVEL SECURITY; SELECT lo_create(4711)});
fails('a large object that we may not read', $url, 'auth', qr/may not read large object 4711/);
admin(q{SELECT lo_unlink(4711)});

admin(q{CREATE SUBSCRIPTION sub CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false)});
{
    my ($got, $detail, $event) = backup($url);
    is($got, 'ok', "a subscription is no obstacle to a backup $detail");
    like("@{ $event->{notes} }", qr/rewind will be refused.*sub/, 'but noted, as it is one to a rewind');
}
admin(q{ALTER SUBSCRIPTION sub SET (slot_name = NONE); DROP SUBSCRIPTION sub});

# ---- the customer's own settings do not decide ------------------------------------------------------------

admin(q{ALTER ROLE app SET statement_timeout = '100ms'; ALTER ROLE app SET search_path = 'nowhere';
    ALTER ROLE app SET default_transaction_read_only = on; ALTER ROLE app SET datestyle = 'German'});
{
    my ($got, $detail) = backup($url);
    is($got, 'ok', "odd settings of the role $detail");
}
admin(q{ALTER ROLE app RESET ALL});
{
    local $ENV{PGHOST} = '/nowhere'; local $ENV{PGSERVICE} = 'none'; local $ENV{PGOPTIONS} = '-c x=y'; local $ENV{PGSSLMODE} = 'verify-full';
    is((backup($url))[0], 'ok', 'variables of our environment do not decide either');
}

# ---- tools -------------------------------------------------------------------------------------------------

sub fake_tool
{
    my ($name, $script) = @_;
    my $dir = "$directory/tools-" . ($name =~ s/\W/-/gr);
    mkdir $dir or die $!;
    my $file = "$dir/pg_dump";
    open my $fh, '>', $file or die $!;
    print $fh $script;
    close $fh;
    chmod 0755, $file;
    return { settings => { tool_path => $dir } };
}
sub slurp_if { return -e $_[0] ? slurp_file($_[0]) : '' }
my $version = `pg_dump --version`;
chomp $version;
my $major = $node->pg_version->major;
my ($pg_dump) = grep { -x } map { "$_/pg_dump" } split /:/, $ENV{PATH};
my $head = "#!/bin/sh\n[ \"\$1\" = --version ] && { echo '$version'; exit 0; }\n";

fails('exit 0 with nothing', $url, 'too_small', qr/./, %{ fake_tool('nothing', "${head}exit 0\n") });
fails('exit 0, cut off', $url, 'dump', qr/./, %{ fake_tool('cut', "${head}$pg_dump \"\$@\" | head -c 20000\nexit 0\n") });
fails('exit 0, with more behind', $url, 'dump', qr/./, %{ fake_tool('more', "${head}$pg_dump \"\$@\"\necho more\nexit 0\n") });
fails('exit 1 after all bytes', $url, 'dump', qr/exited with 1: it broke/,
    %{ fake_tool('late', "${head}$pg_dump \"\$@\"\necho it broke >&2\nexit 1\n") });
fails('killed', $url, 'dump', qr/killed by signal 9/, %{ fake_tool('killed', "${head}kill -9 \$\$\n") });
fails('a flood of stderr', $url, 'dump', qr/the last words$/,
    %{ fake_tool('flood', "${head}yes 'pg_dump: warning: something' | head -c 20000000 >&2\necho 'the last words' >&2\nexit 1\n") });
{
    my ($got, $detail) = backup($url, %{ fake_tool('warns', "${head}yes warning | head -c 3000000 >&2\nexec $pg_dump \"\$@\"\n") });
    is($got, 'ok', "a flood of warnings does no harm $detail");
}
{
    my ($got, $detail) = backup($url, %{ fake_tool('echo', "${head}cat \$PGPASSFILE >&2\nexit 1\n") });
    is($got, 'dump', 'a tool that shouts its password file');
    unlike($detail, qr/p\@ss/, 'is quoted without it');
}
{
    # An older one alone is passed over for what the machine has.
    my $old = fake_tool('old', "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n");
    my ($got, $detail, $event) = backup($url, %$old);
    is($got, 'ok', "an older pg_dump in tool_path is passed over $detail");
    unlike($event->{tool} // '', qr/9\.6/, 'and not said to have been used');
}
{
    # A directory without the tool, and one whose tool does not run.
    my ($got) = backup($url, %{ fake_tool('broken', "#!/nowhere/sh\n") });
    is($got, 'ok', 'a pg_dump that does not run is passed over');
}

# A URL that has given a backup before: pg_dump sets out before the server is asked.
{
    my $log = "$directory/early";
    my $early = sub {
        unlink $log;
        my ($name, $version_said, $customer_url) = @_;
        my $tool = fake_tool("early $name", "#!/bin/sh\n[ \"\$1\" = --version ] && { echo 'pg_dump (PostgreSQL) $version_said'; exit 0; }\n"
                . "echo \$\$ >> $log\nexec $pg_dump \"\$@\"\n");
        return (backup($customer_url // $url, expected_bytes => 1000, %$tool), scalar(() = slurp_if($log) =~ /\n/g));
    };
    my ($got, $detail, $event, $result, $started) = $early->('right', $version =~ s/^pg_dump \(PostgreSQL\) //r);
    is($got, 'ok', "the one pg_dump that there is $detail");
    is($started, 1, 'is started once');
    ($got, $detail, $event, $result, $started) = $early->('old', '9.6.24');
    is($got, 'ok', "one that proves too old for the server is called back $detail");
    is($started, 1, 'after it had been started');
    unlike($event->{tool}, qr/9\.6/, 'and another has made the dump');
    ($got, $detail, $event, $result, $started) = $early->('refused', '99.0', customer_url($node, password => 'wrong'));
    is($got, 'auth', 'a password that has changed since is told by code, not by the words of pg_dump');
    like($detail, qr/28P01/, 'the code');
    is_deeply([ grep { kill 0, $_ } split /\n/, slurp_if($log) ], [], 'and no pg_dump is left');
}

# A host without client tools: the system's are hidden from the mover, in a mount namespace of its own.
SKIP:
{
    skip 'no user namespaces here', 8 if system(q(unshare -Urm true 2>/dev/null)) != 0;
    my $wrapper = "$directory/bare_host";
    mkdir "$directory/empty" or die $!;
    append_to_file($wrapper, "#!/bin/sh\nexec unshare -Urm sh -c 'for d in /usr/lib/postgresql /usr/pgsql-*; do"
            . " [ ! -d \$d ] || mount -t tmpfs none \$d || exit 99; done; PATH=$directory/empty; export PATH; exec \"\$0\" \"\$@\"' $mover \"\$@\"\n");
    chmod 0755, $wrapper or die $!;
    local $CustbackupTest::mover = $wrapper;
    fails('no pg_dump at all', $url, 'config', qr/pg_dump is not installed \(looked in .*install postgresql-client-\d+, or name its directory in custbackup\.tool_path/);
    fails('only one older than the server', $url, 'config', qr/pg_dump 9\.6\.24 in \S+ is too old .*install postgresql-client-\d+/,
        %{ fake_tool('oldest', "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n") });
}

# ---- nothing left to work with: that is said, and not that something is not installed ------------------------------

sub limited
{
    my ($limit) = @_;
    my $file = "$directory/limited$limit";
    # A sanitizer's search for leaks would need a thread.
    append_to_file($file, "#!/bin/sh\nexport ASAN_OPTIONS=\"\$ASAN_OPTIONS:detect_leaks=0\"\nexec prlimit --$limit -- $ENV{CUSTBACKUP_BIN} \"\$@\"\n");
    chmod 0755, $file or die $!;
    return $file;
}

{
    local $CustbackupTest::mover = limited('nofile=10');
    fails('no descriptor left', $url, 'internal', qr/pg_dump": Too many open files/);
    $CustbackupTest::mover = limited('nproc=1');
    fails('no process left', $url, 'internal', qr/pg_dump": Resource temporarily unavailable/);
    $CustbackupTest::mover = limited('fsize=100');
    fails('a limit on the size of files', $url, 'store', qr/File too large/);
}

# ---- secrets: argv and environment of every process, while a dump hangs -----------------------------------------

{
    my $hang = fake_tool('hang', "${head}sleep 1000 & wait\n");
    my $run = start_mover({ %$settings, %{ $hang->{settings} } }, backup_job($settings, $store, $url));
    my @tools = wait_for(sub { $run->{harness}->pump_nb; my @p = processes_matching(qr{tools-hang/pg_dump}); @p ? \@p : undef }, 10, 'pg_dump runs');
    my %seen;
    for my $pid (grep { /^\d+$/ } map { m{(\d+)$} ? $1 : () } glob '/proc/[0-9]*')
    {
        for my $what ('cmdline', 'environ')
        {
            open my $fh, '<', "/proc/$pid/$what" or next;
            local $/;
            my $text = <$fh> // '';
            $seen{$what}++;
            ok(0, "pid $pid has the password in its $what") if $text =~ /s3cret/;
        }
    }
    cmp_ok($seen{environ}, '>', 2, 'environments were looked at');
    kill 'TERM', $run->{pid};
    my $result = run_mover($run);
    is(last_event($result)->{reason}, 'cancelled', 'cancelled while pg_dump hangs');
    is_deeply([ processes_matching(qr{tools-hang/pg_dump}) ], [], 'and pg_dump is gone');
}

# ---- passwords with any bytes -------------------------------------------------------------------------------------

for my $password (':', '\\', 'a:b\\c:', "tab\there", q{quote'"$}, 'ключ', ' spaces ', '%41', 'x' x 400)
{
    my $literal = $password =~ s/'/''/gr;
    $node->safe_psql('postgres', "SET standard_conforming_strings = on; ALTER ROLE app PASSWORD '$literal'");
    my ($got, $detail) = backup(customer_url($node, password => $password));
    is($got, 'ok', 'password ' . substr($password, 0, 20) . " $detail");
}

# ---- a server lost in the middle -----------------------------------------------------------------------------------

admin(q{ALTER ROLE app PASSWORD 'plain'}, 'postgres');
$url = customer_url($node, password => 'plain');
{
    my $stops = fake_tool('stops', "${head}( cat '$directory/never' ) 2>/dev/null; $pg_dump \"\$@\" > $directory/dumped; touch $directory/at-it; sleep 3; head -c 20000 $directory/dumped; exit 1\n");
    my $run = start_mover({ %$settings, %{ $stops->{settings} } }, backup_job($settings, $store, $url));
    wait_for(sub { $run->{harness}->pump_nb; -e "$directory/at-it" }, 20, 'the dump has begun');
    $node->stop('immediate');
    my $result = run_mover($run);
    is(last_event($result)->{reason}, 'unreachable', 'a server that went away is named as such');
    $node->start;
}
is((backup($url))[0], 'ok', 'and the same job succeeds afterwards');

my @left = grep { !/\.(gz|json)$/ } map { chomp; $_ } `find $directory/store $directory/spool -type f`;
is_deeply(\@left, [], 'nothing half-finished is left in store and spool');
done_testing();
