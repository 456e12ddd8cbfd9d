/* --check: what a mount would find, told line by line. */
#pragma once

#include "config/options.h"

/* Connects to the account of the options, or to each of options->accounts, logs in, and prints to
 * stdout what is there and what is not; the same for the server that sends. Nothing is changed, and
 * no secret is printed. `argc` and `argv` are ours. The exit code: that of the first failure, which
 * a mount would end with; 0 if all is well. */
int check_run(const struct options *options, int argc, char **argv);
