#!/usr/bin/perl -T
# sa-hits.pl - what SpamAssassin itself finds, without network and Bayes: "PATH<TAB>RULE RULE ..." a line, sub-rules included.
#
#   sa-hits.pl RULES-DIR PLUGIN-DIR < list of paths
use strict;
use warnings;
use Mail::SpamAssassin;

my ($rules, $site) = map { /(.*)/ } @ARGV;
my $sa = Mail::SpamAssassin->new({ rules_filename => $rules, site_rules_filename => $site, userprefs_filename => '/dev/null',
	local_tests_only => 1, dont_copy_prefs => 1,
	post_config_text => "use_bayes 0\nuse_auto_welcomelist 0\nuse_txrep 0\nshortcircuit_foo 0\n" =~ s/shortcircuit_foo.*//r });
$sa->init(1);
$| = 1;
while (my $path = <STDIN>) {
	chomp $path;
	($path) = $path =~ /(.*)/;
	open(my $f, '<', $path) or next;
	binmode $f;
	my @lines = <$f>;
	close $f;
	my $mail = $sa->parse(\@lines, 1);
	my $status = $sa->check($mail);
	my $hits = $status->get_names_of_tests_hit() . "," . $status->get_names_of_subtests_hit();
	$hits =~ tr/,/ /;
	print "$path\t$hits\n";
	$status->finish();
	$mail->finish();
}
