/* commands.h - policyctl's commands: each takes its own arguments (argv[0] is its name) and returns the exit code:
 * 0 done, 1 could not, 2 asked wrongly. */
#ifndef POLICYD_CTL_COMMANDS_H
#define POLICYD_CTL_COMMANDS_H

int cmd_backup(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_limits(int argc, char **argv);
int cmd_learn(int argc, char **argv);
int cmd_model(int argc, char **argv);
int cmd_outbound(int argc, char **argv);
int cmd_policy(int argc, char **argv);
int cmd_quarantine(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_reputation(int argc, char **argv);
int cmd_review(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_rules(int argc, char **argv);
int cmd_scan(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_user(int argc, char **argv);
int cmd_audit(int argc, char **argv);
int cmd_trace(int argc, char **argv);

#endif
