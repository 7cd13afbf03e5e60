#!/bin/sh
# sh test/check-style.sh
#
# Checks what can be seen without running anything: facts that are kept in more
# than one place, and the house style as far as a pattern can tell. The last
# line counts checks.

set -u
cd "$(dirname "$0")/.." || exit 1
name=tasker_checkpoint
passed=0
failed=0

# check WHAT COMMAND...: fine if the command succeeds and says nothing.
check()
{
	what=$1
	shift
	if output=$("$@" 2>&1) && [ -z "$output" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "not ok: $what"
		echo "${output:-could not run}" | sed 's/^/    /'
	fi
}

# The project's files whose names match a pattern, by line; results of a build
# or a test are not among them.
files()
{
	if [ -e .git ] && command -v git >/dev/null; then
		git -c safe.directory='*' ls-files -co --exclude-standard
	else
		find . -name .git -prune -o -type f -print | sed 's|^\./||'
	fi | grep -E "$1" | while read -r file; do
		# deleted, but not yet for git
		[ -f "$file" ] && echo "$file"
	done
}

# Lines of the files named on stdin that match; no file, no line.
lines()
{
	xargs -r -d '\n' grep -nHE "$@" || :
}

# The control file says which version this is.
versions()
{
	version=$(sed -n "s/^default_version = '\(.*\)'$/\1/p" "$name.control")
	[ -n "$version" ] || echo "$name.control: no default_version"
	newest=$(sed -n 's/^## [^0-9]*\([0-9.]*[0-9]\).*/\1/p' CHANGELOG.md | head -n 1)
	[ "$newest" = "$version" ] || echo "CHANGELOG.md: the newest heading says ${newest:-no version}, not $version"
	perl -MJSON::PP -e '
		my ($file, $name, $version) = @ARGV;
		open my $fh, "<", $file or die "$file: $!\n";
		my $meta = decode_json(join "", <$fh>);
		my $provides = $meta->{provides}{$name};
		print "$file: version $meta->{version}, not $version\n" if $meta->{version} ne $version;
		print "$file: provides $provides->{version}, not $version\n" if $provides->{version} ne $version;
	' META.json "$name" "$version"
}

# PGXN Meta Spec 1.0.0
meta()
{
	perl -MJSON::PP -e '
		my ($file, $name) = @ARGV;
		open my $fh, "<", $file or die "$file: $!\n";
		my $meta = decode_json(join "", <$fh>);
		my %known = map { $_ => 1 } qw(name version abstract description maintainer license
			provides meta-spec prereqs release_status generated_by tags no_index resources);
		my $semver = qr/^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/;
		for (qw(name version abstract maintainer license provides meta-spec)) {
			print "$file: $_ is required\n" unless exists $meta->{$_};
		}
		for (sort keys %$meta) {
			print "$file: no such key: $_\n" unless $known{$_} or /^[xX]_/;
		}
		print "$file: name is not $name\n" unless $meta->{name} eq $name;
		print "$file: maintainer is neither a text nor a list\n"
			unless $meta->{maintainer} and ref($meta->{maintainer}) =~ /^(ARRAY)?$/;
		print "$file: abstract is no text\n" if ref $meta->{abstract} or $meta->{abstract} !~ /\S/;
		print "$file: license is not postgresql\n" unless $meta->{license} eq "postgresql";
		print "$file: meta-spec.version is not 1.0.0\n" unless $meta->{"meta-spec"}{version} eq "1.0.0";
		print "$file: version is not semantic\n" unless $meta->{version} =~ $semver;
		print "$file: release_status is unknown\n"
			unless ($meta->{release_status} // "stable") =~ /^(stable|testing|unstable)$/;
		print "$file: tags are no list\n" if exists $meta->{tags} and ref $meta->{tags} ne "ARRAY";
		print "$file: provides nothing\n" unless %{$meta->{provides}};
		while (my ($what, $is) = each %{$meta->{provides}}) {
			print "$file: provides.$what.version is not semantic\n" unless $is->{version} =~ $semver;
			for (grep { defined } @$is{qw(file docfile)}) {
				print "$file: provides.$what: $_ is missing\n" unless -f $_;
			}
			print "$file: provides.$what.file is required\n" unless defined $is->{file};
		}
		while (my ($phase, $rel) = each %{$meta->{prereqs} // {}}) {
			print "$file: prereqs.$phase is unknown\n"
				unless $phase =~ /^(configure|build|test|runtime|develop)$/ or $phase =~ /^x_/i;
			for (keys %$rel) {
				print "$file: prereqs.$phase.$_ is unknown\n"
					unless /^(requires|recommends|suggests|conflicts)$/ or /^x_/i;
			}
		}
	' META.json "$name"
}

pg_version_num()
{
	files '^src/.*\.[ch]$' | grep -vx src/compat.h | lines PG_VERSION_NUM
}

trailing_whitespace()
{
	files '.' | grep -vE '\.(out|png|gif|svg)$' | lines '[[:space:]]$'
}

indentation()
{
	files '\.[ch]$' | lines "^$(printf '\t')* {4}"
}

cxx_comments()
{
	files '\.[ch]$' | lines '(^|[^:])//'
}

long_files()
{
	files '\.[ch]$' | while read -r file; do
		n=$(wc -l <"$file")
		[ "$n" -le 800 ] || echo "$file: $n lines"
	done
}

# pairs INPUTS EXT OUTPUTS; name_1.out is an alternative of name.out.
pairs()
{
	files "^$1/[^/]*\.$2\$" | while read -r file; do
		base=${file##*/}
		base=${base%.*}
		[ -f "$3/$base.out" ] || echo "$file: no $3/$base.out"
	done
	files "^$3/[^/]*\.out\$" | while read -r file; do
		base=${file##*/}
		base=${base%.out}
		[ -f "$1/$base.$2" ] || [ -f "$1/${base%_[0-9]}.$2" ] || echo "$file: no $1/$base.$2"
	done
}

# A test's file name begins with a subject that CONTRIBUTING.md lists, and the file
# with a line that says what is tested.
subjects()
{
	# shellcheck disable=SC2016	# no expansion: Markdown's backquotes
	known=$(sed -n 's/^| `\([a-z]*\)` |.*/\1/p' CONTRIBUTING.md)
	files '^(sql/[^/]*\.sql|test/(isolation/specs|pgtap|server/t)/[^/]*)$' | while read -r file; do
		subject=${file##*/}
		subject=${subject%%[-_.]*}
		echo "$known" | grep -qx "$subject" || echo "$file: CONTRIBUTING.md has no subject \"$subject\""
		head -n 1 "$file" | grep -qE '^(--|#) [^!]' || echo "$file: the first line does not say what is tested"
	done
}

sleeps()
{
	files '^(sql|test)/' | lines 'pg_slee[p]|\<(u?slee[p]|time\.slee[p]) *\('
}

# A message that is no error has none of its own.
error_codes()
{
	# shellcheck disable=SC2016	# perl's variables
	files '^src/.*\.[ch]$' | xargs -r -d '\n' perl -0777 -ne '
		while (/\bereport\s*\((.*?)\)\s*;/sg) {
			my ($text, $before) = ($1, substr($_, 0, $-[0]));
			next if $text =~ /errcode|tckpt_refused/ or $text =~ /^\s*(DEBUG\d|LOG|NOTICE)\b/;
			printf "%s:%d: ereport without errcode\n", $ARGV, 1 + ($before =~ tr/\n//);
		}'
}

# In the parts of the install script: a block leaves but pg_catalog on the
# search_path before anything else, and so does a function that is SQL; a string
# with a backslash says E, since standard_conforming_strings may be off.
install_script()
{
	# shellcheck disable=SC2016	# perl's variables
	files '^src/sql/.*\.sql$' | xargs -r -d '\n' perl -0777 -ne '
		my $where = sub { return "$ARGV:" . (1 + (substr($_, 0, $_[0]) =~ tr/\n//)) };
		while (/^DO (\$\w*\$)(.*?)\1/msg) {
			my ($block, $at) = ($2, $-[0]);
			print $where->($at), ": a block that does not begin by pinning the search_path\n"
				unless $block =~ /^BEGIN\s+PERFORM pg_catalog\.set_config\(.search_path., .pg_catalog, pg_temp., true\);/m
				and $block !~ /:=(?! pg_catalog\.current_setting\()[^;]*;.*^BEGIN$/ms;
		}
		while (/^CREATE (?:FUNCTION|PROCEDURE)\b((?:(?!^CREATE ).)*?)^AS \$/msg) {
			my ($head, $at) = ($1, $-[0]);
			print $where->($at), ": a function that does not pin the search_path\n"
				unless $head =~ /^SET search_path = pg_catalog, pg_temp$/m;
		}
		while (/(?<!\bE)\x27[^\x27\n]*\\[^\x27\n]*\x27/g) {
			print $where->($-[0]), ": a string with a backslash\n";
		}'
}

# Relative links, and where they lead: a file or folder, and a heading of it. A
# runbook_url is a link, too.
links()
{
	# shellcheck disable=SC2016	# perl's variables
	files '(\.md|/alerts\.yaml)$' | xargs -r -d '\n' perl -e '
		my %anchors;
		sub text
		{
			open my $fh, "<", $_[0] or die "$_[0]: $!\n";
			my $text = join("", <$fh>);
			$text =~ s/^ *```.*?^ *```$/"\n" x ($& =~ tr,\n,,)/gmse if $_[0] =~ /\.md$/;
			return $text;
		}
		# A heading as GitHub names it; the second of the same name gets a -1.
		sub anchors
		{
			my ($file) = @_;
			return $anchors{$file} if $anchors{$file};
			my %seen;
			for (text($file) =~ /^#+ +(.*)$/mg) {
				s/\[([^]]*)\]\([^)]*\)/$1/g;
				my $name = lc;
				$name =~ s/[^\w\- ]//g;
				$name =~ tr/ /-/;
				$anchors{$file}{$seen{$name}++ ? "$name-" . ($seen{$name} - 1) : $name} = 1;
			}
			return $anchors{$file} //= {};
		}
		for my $file (@ARGV) {
			my ($folder) = $file =~ m{^(.*/)};
			my $text = text($file);
			while ($text =~ /\]\(([^)\s]+)\)|runbook_url: "([^"{]+)"/g) {
				my ($link, $line) = ($1 // $2, 1 + (substr($text, 0, $-[0]) =~ tr/\n//));
				next if $link =~ /^\w+:/;
				my ($path, $anchor) = split /#/, $link, 2;
				my $target = $path eq "" ? $file : (defined $1 ? $folder // "" : "") . $path;
				1 while $target =~ s{[^/]+/\.\./}{};
				if (not -e $target) {
					print "$file:$line: no $link\n";
				} elsif (defined $anchor and not anchors($target)->{$anchor}) {
					print "$file:$line: no heading #$anchor in $target\n";
				}
			}
		}'
}

# Documents name the test, or the source, that shows what they say.
named_files()
{
	# shellcheck disable=SC2016	# perl's variables
	files '\.md$' | xargs -r -d '\n' perl -ne '
		while (m{`((?:\.ci|bench|clients|examples|sql|src|test)/[a-z0-9_./-]+\.[a-z]+)[ `]|`([a-z-]+\.spec)`}g) {
			my $file = $1 // "test/isolation/specs/$2";
			print "$ARGV:$.: no $file\n" unless -e $file;
		}
		close ARGV if eof;'
}

# The reference stays short, and names each setting, and each function that
# examples/grants.sql gives to somebody.
reference()
{
	size=$(wc -c <docs/reference.md)
	[ "$size" -le 55000 ] || echo "docs/reference.md: $size bytes, of 55000"
	{
		sed -n "s/.*\"$name\.\([a-z_]*\)\",.*/\1/p" src/guc.c
		sed -n "s/^    (:'[a-z]*', '\([a-z_ ]*\)'),*\$/\1/p" examples/grants.sql |
			tr ' ' '\n' | grep -vx attach_table
	} | sort -u | while read -r word; do
		grep -qwF "$word" docs/reference.md || echo "docs/reference.md: nothing of $word"
	done
}

# docs/design.md lists the decisions.
decisions()
{
	files '^docs/decisions/' | while read -r file; do
		grep -qF "(${file#docs/})" docs/design.md || echo "docs/design.md: does not list $file"
	done
}

shells()
{
	files '(\.sh|^\.ci/run)$' | xargs -r -d '\n' shellcheck -x
}

check "versions agree" versions
check "META.json is valid for PGXN" meta
check "PG_VERSION_NUM only in src/compat.h" pg_version_num
check "no trailing whitespace" trailing_whitespace
check "C is indented by tabs" indentation
check "C has no // comments" cxx_comments
check "C files have 800 lines at most" long_files
check "sql/ and expected/ are pairs" pairs sql sql expected
check "isolation specs and expected are pairs" pairs test/isolation/specs spec test/isolation/expected
check "tests are named by what they test" subjects
check "tests don't sleep" sleeps
check "every ereport has an errcode" error_codes
check "the install script pins the search_path" install_script
check "links in documents lead somewhere" links
check "the reference is whole and short" reference
check "files that documents name are there" named_files
check "docs/design.md lists the decisions" decisions
if command -v shellcheck >/dev/null; then
	check "shellcheck is content" shells
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
