# The manual page and the shells' completions say what --help says: no command and no option more or less.
use strict;
use warnings;

use CustbackupTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

sub output_of
{
    my (@command) = @_;
    my ($out, $err) = ('', '');
    IPC::Run::run(\@command, '<', \'', '>', \$out, '2>', \$err, IPC::Run::timeout(60));
    return ($out, $err);
}

sub installed
{
    my ($pattern) = @_;
    my @files = grep { /$pattern/ } split /\n/, (output_of('find', $ENV{INSTALLED_ROOT}, '-type', 'f'))[0];
    is(scalar @files, 1, "make install brings $pattern") or diag explain \@files;
    return $files[0];
}

# What stands in --help: at a line's beginning, or in brackets in the usage.
my ($help) = output_of($mover, '--help');
my @commands = sort $help =~ /^  ([a-z-]+) {2,}/mg;
my %options;
for my $command (@commands)
{
    my ($text) = output_of($mover, $command, '--help');
    is_deeply([ grep { length > 80 } split /\n/, $text ], [], "$command --help fits on a terminal");
    my %seen = map { $_ => 1 } $text =~ /^ +(--[a-z-]+)/mg, $text =~ /^Usage: [^\n]*?\[(--[a-z-]+)/mg, $text =~ /^Usage: [^\n]*? (--[a-z-]+)=/mg;
    $options{$command} = [ sort keys %seen ];
}
is(scalar @commands, 8, 'eight commands');

# ---- the manual page -----------------------------------------------------------------------------

my $page = installed('/man/man1/custbackup\.1$');
my ($rendered, $warnings) = output_of('man', '--warnings', '-E', 'UTF-8', '-l', '-P', 'cat', $page);
is($warnings, '', 'man has nothing to say against it');
like($rendered, qr/^NAME\n +custbackup - backups/m, 'and shows it');

my (%section, $name);
for my $line (split /\n/, slurp_file($page) =~ s/\\-/-/gr)
{
    $name = $1 if $line =~ /^\.S[HS] "?(.*?)"?$/;
    push @{ $section{$name}{options} }, $1 if $name && $line =~ /^\.BI? (--[a-z-]+)/;
    $section{$name}{text} .= "$line\n" if $name;
}
is_deeply([ sort grep { $section{$_}{text} =~ /^\.SS/ } keys %section ], \@commands, 'it has the commands');
for my $command (@commands)
{
    my $its = $section{$command};
    my @all = @{ $its->{options} // [] };
    push @all, @{ $section{'STORE OPTIONS'}{options} } if $its->{text} =~ /^Takes the store options/m;
    push @all, @{ $section{SETTINGS}{options} } if $its->{text} =~ /^Takes .*the settings,/m;
    is_deeply([ sort @all ], $options{$command}, "it has the options of $command");
}

# ---- bash ----------------------------------------------------------------------------------------

my $bash = installed('/bash-completion/completions/custbackup$');

# The words that <Tab> offers at the end of a line, which readline has cut into words.
sub bash_completes
{
    my (@words) = @_;
    my ($out, $err) = output_of('bash', '--norc', '-c', <<'BASH', 'bash', $bash, @words);
. "$1"
shift
complete -p custbackup >/dev/null || exit
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_custbackup
printf '%s\n' "${COMPREPLY[@]}"
BASH
    is($err, '', "bash: custbackup @words[1 .. $#words]: no complaint");
    return [ sort grep { length } split /\n/, $out ];
}

is_deeply(bash_completes('custbackup', ''), [ sort @commands, '--help', '--version' ], 'bash offers the commands');
is_deeply(bash_completes('custbackup', 've'), ['verify'], 'and the one that begins so');
for my $command (@commands)
{
    my $words = bash_completes('custbackup', $command, '--');
    is_deeply([ sort map { s/=$//r } @$words ], [ sort @{ $options{$command} }, '--help' ], "bash offers the options of $command");
}
is_deeply(bash_completes('custbackup', 'list', '--sto'), [ '--store-name=', '--store=' ], 'bash offers what begins so');
my $directory = PostgreSQL::Test::Utils::tempdir();
append_to_file("$directory/key file", '');
mkdir "$directory/folder";
is_deeply(bash_completes('custbackup', 'list', '--key-file', '=', "$directory/k"), ["$directory/key file"], 'a file behind =');
is_deeply(bash_completes('custbackup', 'list', '--key-file', "$directory/k"), ["$directory/key file"], 'a file behind a blank');
is_deeply(bash_completes('custbackup', 'list', '--spool-dir', '=', "$directory/"), ["$directory/folder"], 'a directory');
is_deeply(bash_completes('custbackup', 'list', '--token', '='), [], 'a token nobody knows');

# At a terminal, as a person would: what stands in the line after <Tab>.
{
    my ($in, $out) = ('', '');
    my $shell = IPC::Run::start([ 'bash', '--norc', '--noprofile', '-i' ], '<pty<', \$in, '>pty>', \$out, IPC::Run::timeout(60));
    $in = "PS1=; . '$bash'; custbackup() { echo \"got:\$*:\"; }; echo re''ady\n";
    $shell->pump until $out =~ /ready/;
    $in = "custbackup che\t--na\tx --js\t\n";
    $shell->pump until $out =~ /got:.*:\r?\n/;
    like($out, qr/got:check-store --name=x --json:/, 'bash completes a line as it is typed');
    $in = "exit\n";
    $shell->finish;
}

# ---- zsh -----------------------------------------------------------------------------------------

my $zsh = installed('/zsh/[a-z-]+/_custbackup$');

# With zsh's two helpers replaced by ones that print what they were given.
sub zsh_completes
{
    my (@words) = @_;
    my ($out, $err) = output_of('zsh', '-f', '-c', <<'ZSH', 'zsh', $zsh, @words);
_arguments() { print -rl -- "$@" }
_describe() { print -rl -- "${(@P)2}" }
file=$1
shift
words=("$@") CURRENT=$#
set --
. $file
ZSH
    is($err, '', "zsh: custbackup @words[1 .. $#words]: no complaint");
    return [ sort map { /^(--[a-z-]+|[a-z][a-z-]*)[=:\[]/ ? $1 : () } split /\n/, $out ];
}

is_deeply(zsh_completes('custbackup', ''), [ sort @commands, '--help', '--version' ], 'zsh offers the commands');
is_deeply(zsh_completes('custbackup', $_, ''), [ sort @{ $options{$_} }, '--help' ], "zsh offers the options of $_") for @commands;

done_testing();
