# MongoTest.pm
#
# Real FerretDB servers (with SCRAM) and real mongodump and mongorestore for tests, all built by
# test/bin/build-tools; spoken to by test/support/mongodb_tool.c, compared by everything they hold.
package MongoTest;

use strict;
use warnings;

use Exporter 'import';
use FindBin;
use IO::Socket::INET;
use IPC::Run ();
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

use CustbackupTest;
use PostgreSQL::Test::Utils ();

our @EXPORT = qw(start_mongodb mongodb_url mongodb_backup mongodb_backup_fails mongodb_restore start_mongodb_restore tool_of tools_directory same_documents no_secret_outside);

our $tool = "$ENV{UNIT_DIR}/mongodb_tool";
my $json = JSON::PP->new->canonical;
my $tools = ($ENV{CUSTBACKUP_TOOLS} // '/var/cache/custbackup-tools') . '/bin';

# Where mongodump and the others are: for tool_path.
sub tools_directory
{
    for my $name (qw(ferretdb mongodump mongorestore))
    {
        BAIL_OUT("$tools/$name is not there: run test/bin/build-tools $name") unless -x "$tools/$name";
    }
    return $tools;
}

# Options: dir, port, user, password, socket (a path), tls (a directory with server.crt and server.key: {tls_port}).
sub start_mongodb
{
    my (%option) = @_;
    my $self = bless {
        dir => PostgreSQL::Test::Utils::tempdir(), port => free_port(), user => 'admin', password => 'p@ss/w:rd%&?#',
        %option
    }, 'MongoTest::Server';
    $self->{tls_port} = free_port() if $self->{tls};
    $self->start;
    return $self;
}

# Options: user, password, database, host, port, options ("a=b&c=d"), none of them: its administrator's.
sub mongodb_url
{
    my ($server, %option) = @_;
    my %c = (user => $server->{user}, password => $server->{password}, host => '127.0.0.1', port => $server->{port},
        database => 'shop', options => 'authSource=admin', %option);
    return sprintf 'mongodb://%s:%s@%s:%s/%s%s', percent_encode($c{user}), percent_encode($c{password}),
      $c{host}, $c{port}, percent_encode($c{database}), length $c{options} ? "?$c{options}" : '';
}

sub mongodb_backup
{
    my ($settings, $store, $url, %option) = @_;
    my $job = backup_job($settings, $store, $url, engine => 'mongodb', type => 'mongodb', %option);
    my $result = run_mover($settings, $job);
    return { %$result, job => $job, done => last_event($result) };
}

# A backup that ends with this reason and detail, and gives no password of these tests away.
sub mongodb_backup_fails
{
    my ($settings, $store, $what, $reason, $detail, $url, %option) = @_;
    my $run = mongodb_backup({ %$settings, %option }, $store, $url);
    is("$run->{done}{event} " . ($run->{done}{reason} // ''), "failed $reason", $what) or diag explain $run->{done};
    like($run->{done}{detail}, $detail, "... $run->{done}{detail}");
    unlike($run->{stdout} . $run->{stderr}, qr/p%40ss|p\@ss/, '... no password anywhere');
    return $run;
}

# A mover that restores, for run_mover().
sub start_mongodb_restore
{
    my ($settings, $store, $url, $backup, %option) = @_;
    my $job = restore_job($settings, $store, $url, $backup->{job}, $backup->{done}, engine => 'mongodb', type => 'mongodb', %option);
    my $run = start_mover($settings, $job);
    $run->{job} = $job;
    return $run;
}

sub mongodb_restore
{
    my $run = start_mongodb_restore(@_);
    my $result = run_mover($run);
    return { %$result, job => $run->{job}, done => last_event($result) };
}

# The pid of a running mover's mongodump or mongorestore at its work.
sub tool_of
{
    my ($run, $name) = @_;
    return wait_for(
        sub {
            for my $pid (processes_matching(qr/^$name .*--archive/))
            {
                my $stat = eval { PostgreSQL::Test::Utils::slurp_file("/proc/$pid/stat") } // '';
                return $pid if $stat =~ /\($name\) \S+ $run->{pid} /;
            }
            return;
        },
        20, "$name runs");
}

# What a running tool and its mover show of themselves has no password in it: nor has a file that they hold, but for a memfd.
sub no_secret_outside
{
    my ($run, $pid, $what, $secret) = @_;
    for my $process ($run->{pid}, $pid)
    {
        my $name = $process == $pid ? 'the tool' : 'the mover';
        unlike(PostgreSQL::Test::Utils::slurp_file("/proc/$process/cmdline"), $secret, "$what: no password in the arguments of $name");
        # The mover's own is not even readable.
        my $environment = eval { PostgreSQL::Test::Utils::slurp_file("/proc/$process/environ") } // '';
        unlike($environment, $secret, "$what: nor in its environment");
    }
    my %files = map { (readlink($_) // '') => $_ } glob "/proc/$pid/fd/*";
    is(scalar(grep { m{^/memfd:mongodb-config} } keys %files), 1, "$what: the tool has it by a memfd");
    my @telling = grep { m{^/} && !m{^/(?:memfd:|dev/)} && PostgreSQL::Test::Utils::slurp_file($files{$_}) =~ $secret } keys %files;
    is("@telling", '', "$what: and by no file");
    ok(!-e "/dev/shm/mongoc-$run->{pid}", "$what: libmongoc has left no file");
    return;
}

# Two texts of everything() are equal, or the lines that differ are shown.
sub same_documents
{
    my ($got, $expected, $name) = @_;
    return pass($name) if $got eq $expected;
    my %got = map { $_ => 1 } split /\n/, $got;
    my %expected = map { $_ => 1 } split /\n/, $expected;
    fail($name);
    diag('too much: ', substr $_, 0, 300) for (grep { !$expected{$_} } sort keys %got)[0 .. 3];
    diag('missing:  ', substr $_, 0, 300) for (grep { !$got{$_} } sort keys %expected)[0 .. 3];
    return;
}

package MongoTest::Server;

use Test::More;
use Time::HiRes qw(sleep);

sub start
{
    my ($self) = @_;
    my $program = MongoTest::tools_directory() . '/ferretdb';
    my $pid = fork // die $!;
    if ($pid == 0)
    {
        open STDOUT, '>', "$self->{dir}/log";
        open STDERR, '>&', \*STDOUT;
        exec $program, '--handler=sqlite', "--sqlite-url=file:$self->{dir}/", "--listen-addr=127.0.0.1:$self->{port}",
          '--telemetry=disable', "--state-dir=$self->{dir}", '--debug-addr=-', '--log-level=error',
          '--test-enable-new-auth', "--setup-username=$self->{user}", "--setup-password=$self->{password}",
          '--setup-database=admin', ($self->{socket} ? "--listen-unix=$self->{socket}" : ()),
          ($self->{tls}
            ? ("--listen-tls=127.0.0.1:$self->{tls_port}", "--listen-tls-cert-file=$self->{tls}/server.crt",
                "--listen-tls-key-file=$self->{tls}/server.key")
            : ())
          or POSIX::_exit(127);
    }
    $self->{pid} = $pid;
    for (1 .. 200)
    {
        return if IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port});
        last if waitpid($pid, POSIX::WNOHANG()) == $pid;
        sleep 0.05;
    }
    die "ferretdb did not start: " . `tail -5 $self->{dir}/log 2>/dev/null`;
}

sub stop
{
    my ($self) = @_;
    return unless $self->{pid};
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
    delete $self->{pid};
}

sub DESTROY
{
    my ($self) = @_;
    local ($?, $@);
    $self->stop;
}

# What mongodb_tool prints for these lines. All texts are bytes here, which JSON::PP keeps in its own form.
sub tool_says
{
    my ($self, @lines) = @_;
    my ($out, $err) = ('', '');
    my $in = join '', map { "$_\n" } @lines;
    utf8::downgrade($in);
    IPC::Run::run([ $MongoTest::tool, MongoTest::mongodb_url($self, database => '') ], '<', \$in, '>', \$out, '2>', \$err)
      or die "mongodb: ", $err =~ s{\n}{ }gr;
    return grep { length } split /\n/, $out;
}

# Each line: a database, a blank, a command in extended JSON. Dies where the server refuses one.
sub say
{
    my ($self, @lines) = @_;
    my @answers = map { $json->decode($_) } tool_says($self, @lines);
    for my $answer (grep { $_->{writeErrors} } @answers)
    {
        die "mongodb: $answer->{writeErrors}[0]{errmsg}";
    }
    return @answers;
}

# What stands beside in a database of a restore that has not come to its end, its mark too; but not what tests call as if it were ours.
our $beside = qr{^custbackup_restore_(?!(?:0123abcd_)?mine$)};

sub beside
{
    my ($self, $database) = @_;
    return grep { /$beside/ } $self->collections($database);
}

# As a dead restore of long ago leaves a database.
sub leave_beside
{
    my ($self, $database, @names) = @_;
    $self->say(qq($database {"insert":"custbackup_restore_","documents":[{"_id":"restore","attempt":"dead","tag":"0badcafe","phase":"beside","at":{"\$date":{"\$numberLong":"1"}}}]}),
        map { qq($database {"insert":"custbackup_restore_0badcafe_$_","documents":[{"_id":1}]}) } @names);
    return;
}

# As if a dead restore had marked the database a minute ago.
sub age_mark
{
    my ($self, $database, $seconds) = @_;
    my $at = int((Time::HiRes::time() - ($seconds // 60)) * 1000);
    $self->say(qq($database {"update":"custbackup_restore_","updates":[{"q":{},"u":{"\$set":{"at":{"\$date":{"\$numberLong":"$at"}}}}}]}));
    return;
}

# The names of a database's collections, in order.
sub collections
{
    my ($self, $database) = @_;
    my ($answer) = $self->say(qq($database {"listCollections":1,"nameOnly":true}));
    return sort map { $_->{name} } @{ $answer->{cursor}{firstBatch} };
}

# The documents of a collection (its name in JSON) by _id, each as a line of extended JSON.
sub documents
{
    my ($self, $database, $name) = @_;
    return tool_says($self, "?$database $name");
}

# One line a document, index and collection of every collection (but those of `skip`), in canonical extended JSON: types and order of fields show.
sub everything
{
    my ($self, $database, %option) = @_;
    my $skip = $option{skip} // $beside;
    my ($listed) = $self->say(qq($database {"listCollections":1}));
    my @collections = grep { $_->{name} !~ $skip } sort { $a->{name} cmp $b->{name} } @{ $listed->{cursor}{firstBatch} };
    my @names = map { $json->encode($_->{name}) } @collections;
    my (@lines, $text);
    for my $said (tool_says($self, map { (qq($database {"listIndexes":$_}), "?$database $_") } @names))
    {
        # A document begins with its _id, the list of a collection's indexes does not.
        if ($said =~ /^\{ "_id"/)
        {
            push @lines, "$text $said";
            next;
        }
        $text = shift @names;
        push @lines, "collection $text " . $json->encode(shift(@collections)->{options} // {});
        push @lines, map { "index $text " . $json->encode($_) } sort { $a->{name} cmp $b->{name} } @{ $json->decode($said)->{cursor}{firstBatch} };
    }
    return join "\n", @lines;
}

1;
