#!/usr/bin/perl -T
# sa-score.pl - SpamAssassin's points, with its Bayes, without network: of each "check LABEL PATH" a line "POINTS PATH"; before them
# "learn spam|ham PATH" teach it.
#
#   sa-score.pl RULES-DIR PLUGIN-DIR STATE-DIR < list
use strict;
use warnings;
use Mail::SpamAssassin;

my ($rules, $site, $state) = map { /(.*)/ } @ARGV;
my $sa = Mail::SpamAssassin->new({ rules_filename => $rules, site_rules_filename => $site, userprefs_filename => '/dev/null',
	local_tests_only => 1, dont_copy_prefs => 1,
	post_config_text => "use_bayes 1\nbayes_path $state/bayes\nbayes_auto_learn 0\nlock_method flock\nuse_auto_welcomelist 0\n" });
$sa->init(1);
$sa->init_learner({ caller_will_untie => 1 });
$| = 1;
while (my $line = <STDIN>) {
	my ($job, $label, $path) = $line =~ /^(learn|check) (spam|ham) (.*)$/ or next;
	open(my $f, '<', $path) or next;
	binmode $f;
	my @lines = <$f>;
	close $f;
	my $mail = $sa->parse(\@lines, 1);
	if ($job eq 'learn') {
		$sa->learn($mail, undef, $label eq 'spam' ? 1 : 0, 0)->finish();
	} else {
		my $status = $sa->check($mail);
		printf "%.3f %s\n", $status->get_score(), $path;
		$status->finish();
	}
	$mail->finish();
}
$sa->finish_learner();
