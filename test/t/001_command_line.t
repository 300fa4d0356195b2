# The executable's own words: version, help, keygen, encrypt-url, and what it refuses.
use strict;
use warnings;

use CustbackupTest;
use IO::Pty ();
use IPC::Run ();
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

my $directory = PostgreSQL::Test::Utils::tempdir();

# Returns (exit status, stdout, stderr).
sub custbackup
{
    my ($input, @arguments) = @_;
    my ($out, $err) = ('', '');
    # From a file: whoever refuses before it reads would break a pipe.
    my $file = "$directory/input";
    open my $fh, '>:raw', $file or die $!;
    print $fh $input // '';
    close $fh or die $!;
    IPC::Run::run([ $mover, @arguments ], '<', $file, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
    return ($? >> 8, $out, $err);
}

sub refused
{
    my ($what, $status, $pattern, $input, @arguments) = @_;
    my ($exit, $out, $err) = custbackup($input, @arguments);
    is($exit, $status, "$what: exit status");
    is($out,  '',      "$what: nothing on stdout");
    like($err, $pattern, "$what: why");
    unlike($err, qr/s3cret|hunter2/, "$what: no secret in it");
}

# ---- version and help

my ($exit, $out, $err) = custbackup('', '--version');
is($exit, 0, '--version');
like($out, qr/^custbackup \d+\.\d+ \(gzip by (ISA-L|zlib) [\d.]+\)\n/, 'says release and gzip');
like($out, qr/^libpq \d+\.\d+, OpenSSL 3/m, 'and libraries');
for my $word ('--help', '-h', 'help')
{
    ($exit, $out, $err) = custbackup('', $word);
    is($exit, 0, $word);
    like($out, qr/Usage: custbackup COMMAND.*\brun\b.*\bkeygen\b.*\bencrypt-url\b.*Examples:/s, "$word lists commands and examples");
    is($err, '', "$word: nothing on stderr");
}
my @commands = $out =~ /^  ([a-z-]+) {2,}/mg;
for my $command (@commands)
{
    ($exit, $out, $err) = custbackup('', $command, '--help');
    is($exit, 0, "$command --help");
    like($out, qr/^Usage: custbackup $command\b/, "$command says its usage");
    ($exit, $out, $err) = custbackup('', $command, '--no-such-option');
    is($exit, 2, "$command with an option that is none: exit status 2");
    isnt($err, '', "$command says so");
}
refused('no command', 2, qr/Usage:/, '');
refused('a URL for a command', 2, qr/no such command/, '', 'postgresql://app:hunter2@h/d');
($exit) = custbackup('', 'run', 'job.json');
is($exit, 2, 'run takes no argument');
for my $fd ('99', '1', '-1', 'x', '', '3x')
{
    refused("--settings-fd=$fd", 2, qr/no open descriptor/, '', 'run', "--settings-fd=$fd");
}

# ---- keygen

my %keys;
for (1 .. 20)
{
    ($exit, $out) = custbackup('', 'keygen');
    $keys{$out}++ if $exit == 0 && $out =~ /^[0-9a-f]{64}\n\z/;
}
is(scalar keys %keys, 20, 'twenty keys of 64 hex digits, all different');
my $key_file = "$directory/key";
umask 0;
($exit, $out, $err) = custbackup('', 'keygen', "--output=$key_file");
is("$exit|$out|$err", '0||', 'keygen into a file');
is(sprintf('%04o', (stat $key_file)[2] & 07777), '0600', 'of mode 0600, whatever the umask');
my $key = slurp_file($key_file);
like($key, qr/^[0-9a-f]{64}\n\z/, 'that holds a key');
refused('keygen over a file', 1, qr/is there already and is not overwritten/, '', 'keygen', '--output', $key_file);
is(slurp_file($key_file), $key, 'the file is as it was');
symlink "$directory/elsewhere", "$directory/link";
refused('keygen through a symbolic link', 1, qr/is there already/, '', 'keygen', "--output=$directory/link");
ok(!-e "$directory/elsewhere", 'nothing was made behind it');
refused('keygen where there is no directory', 1, qr/No such file or directory/, '', 'keygen', '--output=/nonexistent/key');
SKIP:
{
    skip 'no strace here', 3 if system('strace -qq -o /dev/null true 2>/dev/null') != 0;
    my $traced = "$directory/synced";
    # A sanitizer's search for leaks cannot trace what is traced.
    local $ENV{ASAN_OPTIONS} = ($ENV{ASAN_OPTIONS} // '') . ':detect_leaks=0';
    my @strace = ('strace', '-qq', '-e', 'trace=openat,fsync', '-o', "$directory/strace");
    is(system(@strace, $mover, 'keygen', "--output=$traced"), 0, 'keygen, traced');
    # Names are not seen: its memory is nobody's to read.
    like(slurp_file("$directory/strace"), qr/O_CREAT.* = (\d+)\nfsync\(\g1\) += 0\n.*O_DIRECTORY\) = (\d+)\nfsync\(\g2\) += 0$/m,
        'the file is on the disk when it returns, then its name');
    system(join ' ', @strace, '-e inject=fsync:error=EIO:when=2', $mover, 'keygen', "--output=$traced.lost", "2>$directory/err");
    is(-e "$traced.lost" ? 'there' : slurp_file("$directory/err") =~ /could not write.*Input\/output error/, 1, 'a folder that the disk does not take: no key');
}
refused('keygen with an argument', 2, qr/no argument/, '', 'keygen', 'file');
SKIP:
{
    skip 'no /dev/full', 2 unless -c '/dev/full';
    my $full = system("$mover keygen >/dev/full 2>$directory/err");
    is($full >> 8, 1, 'keygen to a full disk fails');
    like(slurp_file("$directory/err"), qr/could not write to standard output/, 'and says so');
}

my $closed = system("$mover keygen >&- 2>$directory/err");
is($closed >> 8, 1, 'keygen without a standard output fails');
like(slurp_file("$directory/err"), qr/could not write to standard output/, 'and says so');

# ---- encrypt-url

my @encrypt = ('encrypt-url', "--key-file=$key_file");
my $url = 'postgresql://app:s3cret@db.example.com:5432/shop';
my ($first, $second);
($exit, $first, $err) = custbackup($url, @encrypt);
is("$exit|$err", '0|', 'encrypt-url');
like($first, qr/^[A-Za-z0-9_-]+\n\z/, 'prints base64url without padding');
is(length $first, int((12 + length($url) + 16) * 4 / 3 + 0.999) + 1, 'of nonce, URL and tag');
($exit, $second) = custbackup("$url\n", @encrypt);
isnt($second, $first, 'no two alike');
is(length $second, length $first, 'a newline at the end is not part of the URL');
($exit, $second) = custbackup("$url\r\n", @encrypt);
is(length $second, length $first, 'nor are the two of Windows');
for my $good (qw(postgres://h/d mongodb://u:p@h/d mongodb+srv://h/d redis://h rediss://:p@h:6380/1 POSTGRESQL://h))
{
    ($exit) = custbackup($good, @encrypt);
    is($exit, 0, "$good is a URL");
}
for my $bad (
    [ 'nothing', '', qr/holds no URL/ ],
    [ 'a newline alone', "\n", qr/holds no URL/ ],
    [ 'no URL', 's3cret', qr/is no URL that begins with/ ],
    [ 'a scheme alone', 'redis://', qr/is no URL/ ],
    [ 'another scheme', 'mysql://app:s3cret@h/d', qr/is no URL that begins with/ ],
    [ 'a newline in it', "postgresql://app:s3cret\@h/d\n\n", qr/byte 28 of the URL is a space or a control/ ],
    [ 'a space in it', 'postgresql://app:s3 cret@h/d', qr/encode it as %20/ ],
    [ 'two URLs', "$url\n$url\n", qr/one URL alone/ ],
    [ 'a NUL', "postgresql://app:s3cret\@h/d\0", qr/control character/ ],
    [ '70 KB', 'postgresql://' . ('s3cret' x 12000), qr/more than 65536 bytes/ ])
{
    refused("encrypt-url of $bad->[0]", 1, $bad->[2], $bad->[1], @encrypt);
}
refused('a URL as an argument', 2, qr/read from standard input, never from the command line.*change that password/s,
    '', @encrypt, 'postgresql://app:hunter2@h/d');
refused('encrypt-url without a key file', 1, qr/no key file is set \(custbackup\.key_file, or --key-file\)/, $url, 'encrypt-url');
refused('encrypt-url with a key file that is not there', 1, qr/No such file/, $url, 'encrypt-url', '--key-file=/nonexistent');
refused('an unknown option', 2, qr/unrecognized option/, $url, @encrypt, '--keyfile=x');

# At a terminal nothing is shown of what is typed, and afterwards all is again.
for my $case ([ 'a URL', sub { print { $_[0] } "$url\n" }, 0 ], [ 'an interrupt', sub { kill 'INT', $_[1] }, 1 ])
{
    my ($what, $act, $status) = @$case;
    my $terminal = IO::Pty->new;
    my $slave = $terminal->slave;
    # IPC::Run may close the handle that it is given.
    open my $view, '+<&', $slave or die "cannot duplicate a terminal: $!";
    my $echo = sub { my $t = POSIX::Termios->new; $t->getattr(fileno $view) or return 'closed'; return $t->getlflag & POSIX::ECHO ? 1 : 0 };
    is($echo->(), 1, "$what: a terminal that shows what is typed");
    my ($said, $errors) = ('', '');
    my $run = IPC::Run::start([ $mover, @encrypt ], '<', $slave, '>', \$said, '2>', \$errors, IPC::Run::timeout(60));
    ok(wait_for(sub { $run->pump_nb; $errors =~ /not shown/ && !$echo->() }, 30, 'it asks'), "$what: asked for unseen");
    $act->($terminal, $run->{KIDS}[0]{PID});
    $run->finish;
    is($run->full_result(0) >> 8, $status, "$what: exit status");
    like($said, $status ? qr/^\z/ : qr/^[A-Za-z0-9_-]+\n\z/, "$what: the ciphertext, if any");
    is($echo->(), 1, "$what: shown again");
}

# From the settings' file, which options override.
my $settings = "$directory/settings.json";
append_to_file($settings, qq({"key_file": "$key_file"}));
{
    local $ENV{CUSTBACKUP_SETTINGS} = $settings;
    ($exit) = custbackup($url, 'encrypt-url');
    is($exit, 0, 'the key file of CUSTBACKUP_SETTINGS');
    refused('an option overrides it', 1, qr{/nonexistent}, $url, 'encrypt-url', '--key-file=/nonexistent');
    local $ENV{CUSTBACKUP_SETTINGS} = '/nonexistent/settings';
    refused('settings that are not there', 1, qr{cannot open the settings file "/nonexistent/settings"}, $url, @encrypt);
}

done_testing();
