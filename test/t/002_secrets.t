# Key files and ciphertexts, good and bad, as a job meets them; and the examples of docs/secrets.md.
use strict;
use warnings;

use CustbackupTest;
use File::Path qw(make_path);
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my ($settings, $store, $directory) = mover_settings();
# Decrypts, and is refused afterwards: nothing is ever connected to.
my $url  = 'postgresql://app:s3cret-word@localhost/shop?service=x';
my $good = encrypt_url($settings->{key_file}, $url);
my $key  = slurp_file($settings->{key_file});
chomp $key;

# The last event of a backup with these settings and this ciphertext.
sub outcome
{
    my ($ciphertext, %override) = @_;
    my $result = run_mover({ %$settings, %override }, backup_job($settings, $store, undef, ciphertext => $ciphertext));
    my $event = last_event($result);
    is(scalar(grep { $_->{event} =~ /^(done|failed)$/ } @{ $result->{events} }), 1, 'one last word');
    is($result->{exit}, 1, 'and an exit status of 1');
    unlike($result->{stdout} . $result->{stderr}, qr/s3cret-word|\Q$key\E/, 'no secret in what it said');
    return "$event->{reason}: $event->{detail}";
}

like(outcome($good), qr/^bad_url: /, 'a good key and a good ciphertext: the URL itself is judged');

# ---- key files

my $file = "$directory/other.key";

sub key_outcome
{
    my ($content, $mode) = @_;
    unlink $file;
    append_to_file($file, $content);
    chmod $mode // 0600, $file;
    return outcome($good, key_file => $file);
}

for my $case (
    [ 'an empty key file', '', 0600, qr/holds no key/ ],
    [ 'a key that is too short', substr($key, 0, 63), 0600, qr/line 1: a key has 64 hex digits, this line has 63/ ],
    [ 'a key that is too long', "${key}0", 0600, qr/this line has 65/ ],
    [ 'a key that is none', ('x' x 64), 0600, qr/line 1: something there is not a hex digit/ ],
    [ 'a second line that is none', "$key\nrubbish\n", 0600, qr/line 2: a key has 64 hex digits/ ],
    [ 'binary rubbish', "\0\1\2\3", 0600, qr/is not text/ ],
    [ 'a world-readable key file', "$key\n", 0604, qr/has mode 0604, so that others could read it: it must be 0600/ ],
    [ 'a group-readable one of ours', "$key\n", 0640, qr/has mode 0640/ ],
    [ 'an unreadable one', "$key\n", 0000, qr/could not open key file .*Permission denied/ ])
{
    my ($what, $content, $mode, $pattern) = @$case;
    like(key_outcome($content, $mode), qr/^config: .*$pattern/, $what);
}
like(key_outcome("# a comment\n\n$key\r\n"), qr/^bad_url: /, 'comments, blank lines and Windows are understood');
like(outcome($good, key_file => "$directory/nothing.key"), qr/^config: .*nothing\.key.*No such file/, 'a missing key file');
like(outcome($good, key_file => $directory), qr/^config: .*is not a regular file/, 'a directory');
like(outcome($good, key_file => ''), qr/^config: no key file is set \(custbackup\.key_file/, 'no key file at all');

# ---- rotation

my $new_key = `$mover keygen`;
chomp $new_key;
like(key_outcome("$new_key\n$key\n"), qr/^bad_url: /, 'a new key in front: old ciphertexts decrypt');
my $by_new = encrypt_url($file, $url);
like(outcome($by_new, key_file => $file), qr/^bad_url: /, 'and it encrypts');
like(outcome($by_new), qr/^decrypt: .*not in the key file \(which holds 1\)/, 'which the old file cannot read');

# ---- ciphertexts

my $changed = $good;
substr($changed, 30, 1) = substr($changed, 30, 1) eq 'A' ? 'B' : 'A';
for my $case (
    [ 'changed by one letter', $changed, qr/does not decrypt: it was changed or cut/ ],
    [ 'cut', substr($good, 0, length($good) - 8), qr/does not decrypt|not base64url/ ],
    [ 'longer', "${good}AAAA", qr/does not decrypt|not base64url/ ],
    [ 'a few letters', 'AAAA', qr/too short to be a ciphertext/ ],
    [ 'the plaintext', $url, qr/is not base64url, from character 11 on/ ],
    [ 'standard base64', '++//' x 20, qr/is not base64url, from character 1 on/ ],
    [ 'with a newline', "$good\n", qr/is not base64url/ ])
{
    my ($what, $ciphertext, $pattern) = @$case;
    like(outcome($ciphertext), qr/^decrypt: .*$pattern/, "a ciphertext that is $what");
}

# ---- the examples of the documentation, which know nothing of how the mover was built

my $docs = slurp_file("$ENV{SOURCE_DIR}/docs/secrets.md");
my %vector = $docs =~ /^\| (key|nonce|URL|result) \| `([^`]+)` \|$/mg;
is(scalar keys %vector, 4, 'docs/secrets.md has a test vector');
unlink $file;
append_to_file($file, $vector{key});
chmod 0600, $file;
like(outcome($vector{result}, key_file => $file), qr/^(?!decrypt|config)/, 'the mover decrypts it');

sub example
{
    my ($language) = @_;
    my ($code) = $docs =~ /^```$language\n(.*?)^```$/ms;
    ok($code, "docs/secrets.md has an example in $language");
    return $code;
}

sub run_example
{
    my ($language, @command) = @_;
    my ($out, $err) = ('', '');
    local $ENV{HOME} = $directory;
    local $ENV{GOFLAGS} = '-mod=mod';
    local $ENV{GOTOOLCHAIN} = 'local';
    my $ran = IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(120));
    chomp $out;
    $out =~ s/=+\z//;
    ok($ran, "$language: runs") or diag($err);
    is($out, $vector{result}, "$language: its result is the vector's");
}

sub have
{
    my (@command) = @_;
    return if $mover =~ /asan/;
    my $out = '';
    return eval { IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$out, IPC::Run::timeout(60)) };
}

my $python = example('python');
SKIP:
{
    skip 'no python3 with the package cryptography, or done in the plain run', 2 unless have('python3', '-c', 'import cryptography');
    append_to_file("$directory/example.py",
        "$python\nprint(encrypt_url('$vector{key}', '$vector{URL}', bytes.fromhex('$vector{nonce}')))\n");
    run_example('Python', 'python3', "$directory/example.py");
}
my $node = example('javascript');
SKIP:
{
    skip 'no node, or done in the plain run', 2 unless have('node', '--version');
    append_to_file("$directory/example.js",
        "$node\nconsole.log(encryptUrl('$vector{key}', '$vector{URL}', Buffer.from('$vector{nonce}', 'hex')));\n");
    run_example('Node.js', 'node', "$directory/example.js");
}
my $go = example('go');
SKIP:
{
    my ($go_command) = grep { have($_, 'version') } 'go', '/usr/local/go/bin/go';
    skip 'no go, or done in the plain run', 2 unless $go_command;
    make_path("$directory/example");
    append_to_file("$directory/example/main.go", <<"GO");
$go
func main() {
	nonce, _ := hex.DecodeString("$vector{nonce}")
	text, err := encryptURL("$vector{key}", "$vector{URL}", nonce)
	if err != nil {
		panic(err)
	}
	say(text)
}
GO
    append_to_file("$directory/example/print.go", qq(package main\n\nimport "fmt"\n\nfunc say(text string) { fmt.Println(text) }\n));
    append_to_file("$directory/example/go.mod", "module example\n\ngo 1.18\n");
    run_example('Go', 'sh', '-c', "cd $directory/example && exec $go_command run .");
}

done_testing();
