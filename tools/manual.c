/*
 * manual.c - writes the man pages and the bash completion from the tables that the programs run by,
 * so that they cannot disagree. Runs at build: manual PAGE FILE, PAGE one of documents[] below.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "tools/bw/program.h"
#include "tools/cli/command.h"
#include "tools/daemon/arguments.h"
#include "tools/settings.h"

static void page_start(FILE *out, const char *name, unsigned section, const char *summary)
{
	fputs(".TH ", out);
	for (const char *c = name; *c; c++)
		fputc(toupper((unsigned char)*c), out);
	fprintf(out, " %u \"\" \"cenote " CENOTE_VERSION "\" \"Cenote\"\n", section);
	fprintf(out, ".SH NAME\n%s \\- %s\n", name, summary);
}

/* @text in paragraphs, as roff: blank lines part them, hyphens stay hyphens. */
static void text_print(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (text[0] == '\n' && text[1] == '\n') {
			fputs("\n.PP\n", out);
			text++;
		} else if (*text == '-') {
			fputs("\\-", out);
		} else if (*text == '\\') {
			fputs("\\e", out);
		} else {
			fputc(*text, out);
		}
	}
	fputc('\n', out);
}

static void command_page_print(const struct command *command, FILE *out)
{
	fprintf(out, ".SS cenote %s%s%s%s\n", command->name, command->group ? " [OPTION...]" : "",
		*command->arguments ? " " : "", command->arguments);
	text_print(command->text, out);
	if (command->group)
		option_print_man(command->group, out);
}

static void cenote_page_print(FILE *out)
{
	page_start(out, "cenote", 1, "look after the Cenote daemon of this machine");
	fputs(".SH SYNOPSIS\n.B cenote\n.I COMMAND\n.RI [ OPTION... ]\n.SH DESCRIPTION\n", out);
	text_print("Asks the daemon cenoted(8) through the socket in its run directory, as root or "
		   "as the daemon's user, and tries configurations before it starts.",
		   out);
	fputs(".SH COMMANDS\n", out);
	for (unsigned i = 0; commands[i]; i++)
		command_page_print(commands[i], out);
	fputs(".SH EXIT STATUS\n", out);
	text_print(
		"0 all is well; 1 a problem was found, or the daemon could not be asked; 2 wrong "
		"usage.",
		out);
	fputs(".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nwhen set, no colors even on a terminal.\n", out);
	fputs(".SH SEE ALSO\n.BR cenoted (8),\n.BR cenote.conf (5)\n", out);
}

static void keeper_section_print(FILE *out)
{
	fputs(".SH TWO PROCESSES\n", out);
	text_print(
		"cenoted itself is small: it starts cenoted-worker, which lies beside it and does "
		"everything else, and holds on to what must not be lost with it, the connection to "
		"the kernel above all. When the worker crashes, is killed, runs out of memory or "
		"hangs (mount.hang_after), the next one takes over: open files stay open, and who "
		"reads waits for a moment. When cenoted is killed, the worker starts another one. "
		"When both are, systemd has kept the same things, if it runs them (see "
		"FileDescriptorStoreMax in systemd.service(5)); otherwise the mount is lost, and "
		"the next start makes it anew.\n\n"
		"That takes a kernel of 6.9 or later; on an older one a death of the worker ends "
		"open files, and the mount is made anew. `cenote status` says so, and how often "
		"and why a worker was replaced. A worker that dies by itself seven times in a row "
		"is not trusted with what was kept any more: then, too, it is mounted anew.\n\n"
		"After a death the configuration in force goes on, whatever has become of the file "
		"meanwhile. `cenote upgrade` has another release take over.\n\n"
		"Signals go to cenoted, whose pid is in the pid file; what is sent to its worker "
		"is not acted upon. Started by hand, cenoted-worker serves without a keeper.",
		out);
}

static void cenoted_page_print(FILE *out)
{
	page_start(out, "cenoted", 8, "mount S3 buckets, cached in memory and on the local SSD");
	fputs(".SH SYNOPSIS\n.B cenoted\n.RB [ \\-\\-config\n.IR FILE ]\n.SH DESCRIPTION\n", out);
	text_print(
		"Mounts what its configuration names and serves it in the foreground. What was "
		"read once comes from the cache afterwards, after a restart too. Logs to stderr, "
		"a line an event; tells systemd when it is ready (Type=notify).\n\n"
		"One daemon runs per run directory (node.run_dir), where its pid file and its "
		"control socket are.",
		out);
	keeper_section_print(out);
	fputs(".SH OPTIONS\n", out);
	option_print_man(&daemon_arguments_options, out);
	fputs(".SH SIGNALS\n.TP\n.BR SIGTERM \", \" SIGINT\n", out);
	text_print(
		"The other members of the cluster are told that this node restarts (or leaves, see "
		"gossip.restart_timeout). Reads in hand are answered (at most node.stop_timeout), "
		"the mount is taken down, "
		"the last blocks are written to the SSD, exit status 0. A second one ends the "
		"reads in hand with an error and does the rest at once.",
		out);
	fputs(".TP\n.B SIGHUP\n", out);
	text_print(
		"The configuration is read again. What may change live takes effect, each change "
		"is logged; what needs a restart is named in the log. A configuration with an "
		"error changes nothing.",
		out);
	fputs(".PP\n", out);
	text_print("The daemon also ends, with exit status 0, when its mount is unmounted. A mount "
		   "entry of the kind small-files is a mount of its own inside it, which goes "
		   "with it; unmounted alone, it stays away until the next start.",
		   out);
	fputs(".SH EXIT STATUS\n", out);
	text_print("0 ended as told; 1 could not start, or could not stop as told: the log says "
		   "why and what to do; 2 wrong usage.",
		   out);
	fputs(".SH SEE ALSO\n.BR cenote (1),\n.BR cenote.conf (5)\n", out);
}

static void mount_option_print(const char *name, const char *value, const char *text, FILE *out)
{
	fprintf(out, ".TP\n.BI %s= %s\n", name, value);
	text_print(text, out);
}

static void mount_page_print(FILE *out)
{
	page_start(out, "mount.cenote", 8, "start cenoted for mount(8) and /etc/fstab");
	fputs(".SH SYNOPSIS\n.B mount \\-t cenote\n.RB [ \\-o\n.IR OPTION [, OPTION ...]]\n"
	      ".I NAME DIRECTORY\n.SH DESCRIPTION\n",
	      out);
	text_print("Starts cenoted(8) in the background, and comes back once it serves DIRECTORY; "
		   "umount(8) ends it, with -R where mount entries of the kind small-files are "
		   "mounts of their own in it. Where it is mounted already and answers, nothing "
		   "is done. "
		   "What is mounted is said in the configuration /etc/cenote/NAME.conf, or in NAME "
		   "itself when it is a path; its mount.path is DIRECTORY.\n\n"
		   "The daemon's log goes to the journal where systemd runs, else to "
		   "/var/log/cenoted.log.\n\n"
		   "With a service manager, cenoted.service is the better way: it starts a daemon "
		   "again "
		   "that has ended.",
		   out);
	fputs(".SH OPTIONS\n", out);
	mount_option_print("config", "FILE", "the configuration, in place of the one of NAME", out);
	mount_option_print("log", "FILE", "where the daemon's log goes", out);
	mount_option_print("timeout", "SECONDS", "how long to wait for the mount (90)", out);
	text_print("\n\nThe options that are common to all file systems are accepted; the mount is "
		   "read-only, nosuid and nodev whatever they say.",
		   out);
	fputs(".SH EXAMPLES\nA line of /etc/fstab, whose mount comes with the network:\n.PP\n.nf\n",
	      out);
	text_print("cenote  /mnt/cenote  cenote  _netdev,nofail  0  0", out);
	fputs(".fi\n.PP\nThe same on first use:\n.PP\n.nf\n", out);
	text_print("cenote  /mnt/cenote  cenote  noauto,_netdev,x-systemd.automount  0  0", out);
	fputs(".fi\n.SH EXIT STATUS\n", out);
	text_print("As mount(8): 0 it is mounted; 1 wrong usage; 32 it could not be mounted.", out);
	fputs(".SH SEE ALSO\n.BR cenoted (8),\n.BR cenote.conf (5),\n.BR mount (8)\n", out);
}

/* Its name, whose dashes stay dashes. */
static const char *bw_command_text(const struct program_command *command)
{
	if (!command->name)
		return "";
	return strcmp(command->name, "--mesh") == 0 ? "\\-\\-mesh" : command->name;
}

static void bw_page_print(FILE *out)
{
	page_start(out, "cenote-bw", 1, "measure one-sided reads between two machines");
	fputs(".SH SYNOPSIS\n", out);
	for (const struct program_command *each = program_commands; each->run; each++) {
		fputs(each == program_commands ? "" : ".br\n", out);
		fprintf(out, ".B cenote\\-bw%s%s\n.RI %s%s[ OPTION... ]\n", each->name ? " " : "",
			bw_command_text(each), each->arguments, *each->arguments ? " \" \" " : "");
	}
	fputs(".SH DESCRIPTION\n", out);
	text_print("Bandwidth, message rate and latency of reads of another machine's memory, as a "
		   "Cenote cluster does them: one-sided over RDMA, or by UCX over TCP where there "
		   "is no RDMA device. The names of options and columns are those of perftest "
		   "(ib_read_bw, ib_read_lat). Needs no daemon, and does not disturb one; but "
		   "--mesh has the daemons of a cluster measure, in their own connections.",
		   out);
	for (const struct program_command *each = program_commands; each->run; each++) {
		fprintf(out, ".SS cenote\\-bw %s%s[OPTION...]\n",
			each->name ? bw_command_text(each) : each->arguments, " ");
		text_print(each->text, out);
		option_print_man(each->group, out);
	}
	fputs(".SH SECURITY\n", out);
	text_print(
		"Both sides prove to each other that they know the same secret before anything is "
		"read. What they then read and send is neither encrypted nor signed. With ucx, "
		"UCX's own parser faces the network: use it in trusted networks only.",
		out);
	fputs(".SH ENVIRONMENT\n.TP\n.B CENOTE_BW_SECRET\n", out);
	text_print("the secret, when there is no --secret-file.", out);
	fputs(".TP\n.B NO_COLOR\nwhen set, no colors even on a terminal.\n", out);
	fputs(".SH EXIT STATUS\n", out);
	text_print(
		"0 everything was measured, and right; 1 a problem: the last line on stderr says "
		"which; 2 wrong usage; 130 interrupted.",
		out);
	fputs(".SH SEE ALSO\n.BR cenoted (8),\n.BR cenote (1),\n.BR ib_read_bw (1)\n", out);
}

static void conf_page_print(FILE *out)
{
	page_start(out, "cenote.conf", 5, "configuration of the Cenote daemon");
	fputs(".SH SYNOPSIS\n.I " SETTINGS_PATH_DEFAULT "\n.SH DESCRIPTION\n", out);
	text_print(
		"A libconfig file: settings are NAME = VALUE; groups are { }, lists of groups "
		"( { }, { } ), and # starts a comment. Sizes are written \"4 GiB\" or \"500 MB\", "
		"durations \"200 ms\", \"30 s\" or \"5 min\". An unknown setting or a value out of "
		"range is an error that names the line and what is accepted; `cenote check` shows "
		"it before the daemon does, `cenote config` prints every setting with its "
		"default.",
		out);
	fputs(".SH SETTINGS\n", out);
	option_print_man_settings(&settings_options, out);
	fputs(".SH SEE ALSO\n.BR cenoted (8),\n.BR cenote (1)\n", out);
}

static bool same_name(const struct option *a, const struct option *b)
{
	return strcmp(a->name, b->name) == 0 && a->letter == b->letter;
}

/* Whether a command before @commands[@before] has this option too. */
static bool was_printed(const struct option *option, unsigned before)
{
	for (unsigned i = 0; i < before; i++)
		for (unsigned j = 0; commands[i]->group && j < commands[i]->group->count; j++)
			if (same_name(option, &commands[i]->group->options[j]))
				return true;
	return false;
}

static void path_print(const struct option *option, FILE *out)
{
	fputs("--", out);
	for (const char *c = option->name; *c; c++)
		fputc(*c == '_' ? '-' : *c, out);
	if (option->letter)
		fprintf(out, "|-%c", option->letter);
}

/* bash's words for the options whose value is a FILE or a DIR: "--config|-c" */
static void paths_print(const char *placeholder, FILE *out)
{
	unsigned printed = 0;

	for (unsigned i = 0; commands[i]; i++) {
		for (unsigned j = 0; commands[i]->group && j < commands[i]->group->count; j++) {
			const struct option *option = &commands[i]->group->options[j];

			if (!option->argument || strcmp(option->argument, placeholder) != 0 ||
			    was_printed(option, i))
				continue;
			fputs(printed++ > 0 ? "|" : "", out);
			path_print(option, out);
		}
	}
}

static void completion_commands_print(FILE *out)
{
	for (unsigned i = 0; commands[i]; i++)
		fprintf(out, "%s%s", i > 0 ? " " : "", commands[i]->name);
}

static void completion_print(FILE *out)
{
	fputs("# bash completion of cenote and cenoted; made from their option tables\n"
	      "_cenote()\n{\n"
	      "\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
	      "\tlocal command=${COMP_WORDS[1]} words=\n"
	      "\t[[ ${COMP_WORDS[0]} == *cenoted ]] && command=cenoted\n"
	      "\tcase $previous in\n\t",
	      out);
	paths_print("FILE", out);
	fputs(") COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n\t", out);
	paths_print("DIR", out);
	fputs(") COMPREPLY=($(compgen -d -- \"$current\")); return ;;\n\tesac\n", out);
	fputs("\tif ((COMP_CWORD == 1)) && [[ $command != cenoted ]]; then\n\t\twords='", out);
	completion_commands_print(out);
	fputs(" --help --version'\n\telse\n\t\tcase $command in\n", out);
	for (unsigned i = 0; commands[i]; i++) {
		fprintf(out, "\t\t%s) words='", commands[i]->name);
		if (commands[i]->group)
			option_print_completion(commands[i]->group, out);
		if (commands[i] == &command_help)
			completion_commands_print(out);
		fputs(" --help' ;;\n", out);
	}
	fputs("\t\tcenoted) words='", out);
	option_print_completion(&daemon_arguments_options, out);
	fputs("' ;;\n\t\tesac\n\tfi\n"
	      "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}\n"
	      "complete -o filenames -F _cenote cenote cenoted\n",
	      out);
}

static void bw_completion_print(FILE *out)
{
	fputs("# bash completion of cenote-bw; made from its option tables\n"
	      "_cenote_bw()\n{\n"
	      "\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} "
	      "words=\n"
	      "\tcase $previous in\n"
	      "\t--secret-file|-k|--svg|--config) COMPREPLY=($(compgen -f -- \"$current\")); "
	      "return ;;\n"
	      "\t--run-dir) COMPREPLY=($(compgen -d -- \"$current\")); return ;;\n"
	      "\t--ib-dev|-d) COMPREPLY=($(compgen -W \"$(ls /sys/class/infiniband 2>/dev/null)\" "
	      "-- \"$current\")); return ;;\n"
	      "\tesac\n\tcase ${COMP_WORDS[1]} in\n",
	      out);
	for (const struct program_command *each = program_commands; each->run; each++) {
		if (!each->name)
			continue;
		fprintf(out, "\t%s) words='", each->name);
		option_print_completion(each->group, out);
		fputs(" --help' ;;\n", out);
	}
	fputs("\thelp) words='serve devices mesh' ;;\n\t*) words='", out);
	option_print_completion(program_commands[0].group, out);
	fputs(" --help --version'\n"
	      "\t\t((COMP_CWORD == 1)) && words+=' serve devices --mesh help' ;;\n\tesac\n"
	      "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
	      "\t((COMP_CWORD == 1)) && COMPREPLY+=($(compgen -A hostname -- \"$current\"))\n}\n"
	      "complete -F _cenote_bw cenote-bw\n",
	      out);
}

static const struct {
	const char *name;
	void (*print)(FILE *out);
} documents[] = {
	{ "cenote.1", cenote_page_print },	{ "cenote-bw.1", bw_page_print },
	{ "cenoted.8", cenoted_page_print },	{ "cenote.conf.5", conf_page_print },
	{ "mount.cenote.8", mount_page_print }, { "cenote", completion_print },
	{ "cenote-bw", bw_completion_print },
};

static int document_write(const char *name, const char *path)
{
	for (size_t i = 0; i < ARRAY_COUNT(documents); i++) {
		FILE *out;
		int error;

		if (strcmp(documents[i].name, name) != 0)
			continue;
		out = fopen(path, "we");
		if (!out) {
			perror(path);
			return EXIT_FAILURE;
		}
		documents[i].print(out);
		error = ferror(out);
		if (fclose(out) != 0 || error) {
			perror(path);
			return EXIT_FAILURE;
		}
		return EXIT_SUCCESS;
	}
	fprintf(stderr, "manual: nothing is called '%s'\n", name);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	if (argc == 3)
		return document_write(argv[1], argv[2]);
	fprintf(stderr, "usage: manual PAGE FILE\n");
	return EXIT_FAILURE;
}
