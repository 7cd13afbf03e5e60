# The blocks of code of a document, for tests that do what it says.

package Blocks;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;

our @EXPORT_OK = qw(blocks shown);

# The document's blocks in these languages, in their order, each with the output that
# it shows, if a block of text follows at once.
sub blocks
{
	my ($document, @languages) = @_;
	my $text = slurp_file($document);
	my $language = join('|', @languages);
	my @blocks;

	while ($text =~ /^( *)```($language)\n(.*?)^\1```\n(?:\n```text\n(.*?)^```$)?/msg)
	{
		my ($kind, $code, $output) = ($2, $3, $4);
		my $line = 1 + (substr($text, 0, $-[0]) =~ tr/\n//);
		push @blocks,
		  { name => "$document:$line", language => $kind, code => $code, output => $output };
	}
	my $fences = () = $text =~ /^\s*```+\s*(?:$language)/mgi;
	die "$document: " . @blocks . " of $fences blocks are found" if @blocks != $fences;
	return @blocks;
}

# What a document shows has no blanks at the ends of lines, no empty lines, and
# no line numbers of psql's.
sub bare
{
	my ($output) = @_;

	$output =~ s/^psql:[^:\s]*:\d+: //mg;
	$output =~ s/ +$//mg;
	$output =~ s/^\n//mg;
	return $output;
}

# Whether what was printed has what is shown.
sub shown
{
	my ($output, $printed) = @_;

	return index(bare($printed), bare($output)) >= 0;
}

1;
