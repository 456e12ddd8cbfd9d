#include "all.h"
#include "check.h"
#include "confine.h"
#include "daemon.h"

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/supervisor.h"
#include "base/text.h"
#include "cache/claim.h"
#include "config/credentials.h"
#include "config/keeper.h"
#include "config/options.h"
#include "engine/label.h"
#include "fuse/mount.h"
#include "fuse/mounter.h"
#include "fuse/mountpoint.h"
#include "fuse/replay.h"
#include "fuse/watchdog.h"
#include "state/state.h"
#include "store/store.h"
#include "tree/name.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum dir { DIR_STATE, DIR_CACHE, DIR_COUNT };

/* All that lives as long as the daemon, in the order in which it is made. */
struct app {
	struct options options;
	int parent_fd;		       /* to report on; -1 in the foreground */
	struct supervisor *supervisor; /* NULL: none */
	struct watchdog *watchdog;
	struct replay *replay; /* NULL: watchers are told nothing */
	struct keeper *keeper; /* NULL: nothing is found again */
	struct mounter *mounter;
	char *sandbox;			 /* what holds us */
	struct credentials *credentials; /* NULL: it never connects */
	int state_claim;		 /* -1: not taken */
	int cache_claim;
	struct state *state;
	struct index *index;
	struct bodies *bodies;
	struct mount *mount;
	struct engine *engine;
	char *dirs[DIR_COUNT + 1]; /* ends with NULL */
	char *outbox_dir;
	struct outbox *outbox; /* NULL: nothing can be sent */
	struct tree *tree;
};

/* What mount(8) says of its helpers. */
enum helper_code { HELPER_USAGE = 1, HELPER_SYSTEM = 2, HELPER_MOUNT = 32 };

/* Beyond the time that the last changes may take: for the rest of the end. */
#define FINISH_SLACK_MS 5000

static int64_t finish_ms(const struct app *app)
{
	return app->options.account.timeout_s * INT64_C(1000);
}

/* The account's directory below `base`, ours alone from here on; NULL on failure. `variable`: where
 * the user may have said so. */
static char *claim_dir(struct app *app, const char *base, const char *variable, int *ret_claim,
		       GError **error)
{
	g_autofree char *name = account_dir_name(&app->options.account);
	g_autofree char *dir = g_build_filename(base, "mailfs", name, NULL);
	int claim;

	/* Relative to whatever directory this is, there would be one for each. */
	if (!g_path_is_absolute(dir)) {
		g_set_error(error, MAILFS_ERROR, ERROR_CONFIG, "HOME or %s is not an absolute path",
			    variable);
		return NULL;
	}
	if (!file_make_private_dir(dir, error))
		return NULL;
	/* Mail first, then changes, the copies of that mail among them. */
	claim = claim_take(dir, app->options.mountpoint, 2 * finish_ms(app) + FINISH_SLACK_MS,
			   error);
	if (claim < 0)
		return NULL;
	*ret_claim = claim;
	return g_steal_pointer(&dir);
}

/* Each directory has its own claim: the variables that say where they are may differ one by one
 * from those of another mount. */
static bool app_claim_dirs(struct app *app, GError **error)
{
	app->dirs[DIR_STATE] =
		claim_dir(app, g_get_user_state_dir(), "XDG_STATE_HOME", &app->state_claim, error);
	if (!app->dirs[DIR_STATE])
		return false;
	app->outbox_dir = g_build_filename(app->dirs[DIR_STATE], "outbox", NULL);
	app->dirs[DIR_CACHE] =
		claim_dir(app, g_get_user_cache_dir(), "XDG_CACHE_HOME", &app->cache_claim, error);
	return app->dirs[DIR_CACHE] != NULL;
}

static bool app_open_files(struct app *app, GError **error)
{
	const struct account *account = &app->options.account;

	app->state = state_open(app->dirs[DIR_STATE], error);
	if (!app->state)
		return false;
	app->index = index_open(app->dirs[DIR_CACHE], account->name, error);
	if (!app->index)
		return false;
	app->bodies = bodies_open(app->dirs[DIR_CACHE], account->cache_size_bytes, error);
	return app->bodies != NULL;
}

static bool app_build_outbox(struct app *app, GError **error)
{
	struct outbox_config config = {.account = &app->options.account,
				       .credentials = app->credentials,
				       .dir = app->outbox_dir};

	if (!config.account->smtp.host)
		return true;
	app->outbox = outbox_new(&config, mount_outbox_events(), app->mount, error);
	return app->outbox != NULL;
}

static const struct store_ops *backend_of(const struct account *account)
{
	switch (account->protocol) {
	case ACCOUNT_POP3:
		return &store_pop3;
	case ACCOUNT_IMAP:
		break;
	}
	return &store_imap;
}

/* The mount first: it takes the signals before there is a second thread. */
static bool app_build(struct app *app, GError **error)
{
	struct engine_config engine = {
		.names = {.shown = name_from_raw, .raw = name_to_raw},
		.account = &app->options.account,
		.credentials = app->credentials,
		.ops = backend_of(&app->options.account),
		.index = app->index,
		.bodies = app->bodies,
		.state = app->state,
		.sandbox = app->sandbox,
	};
	const struct mount_helpers helpers = {
		.watchdog = app->watchdog,
		.replay = app->replay,
		.mounter = app->mounter,
	};
	struct tree_config tree = {
		.account = &app->options.account,
		.index = app->index,
		.bodies = app->bodies,
		.state = app->state,
	};

	app->mount = mount_new(&app->options, &helpers, error);
	if (!app->mount)
		return false;
	app->engine = engine_new(&engine, mount_events(), app->mount, error);
	if (!app->engine)
		return false;
	if (!app_build_outbox(app, error))
		return false;
	tree.engine = app->engine;
	tree.outbox = app->outbox;
	app->tree = tree_new(&tree, error);
	return app->tree != NULL;
}

static bool app_find_secrets(struct app *app, GError **error)
{
	const struct account *account = &app->options.account;

	if (account->offline)
		return true;
	app->credentials = credentials_new(account);
	/* A token may have to be fetched, and that takes a connection. */
	return credentials_find(app->credentials, !app->options.unattended, !account->delay_connect,
				error);
}

static bool app_start_helpers(struct app *app, GError **error)
{
	const struct options *options = &app->options;

	if (!mountpoint_prepare(options->mountpoint, options->nonempty, error))
		return false;
	app->watchdog = watchdog_new(options->mountpoint, error);
	if (!app->watchdog)
		return false;
	/* Where nothing can be changed the kernel lets nobody do as if. */
	if (options->account.inotify == INOTIFY_ON && !options->account.read_only) {
		app->replay = replay_new(error);
		if (!app->replay)
			return false;
	}
	if (options->account.offline)
		return true;
	app->keeper = keeper_new(options, error);
	return app->keeper != NULL;
}

/* From here on the process can do little but serve. */
static bool app_confine(struct app *app, GError **error)
{
	app->mounter = mounter_new(error);
	if (!app->mounter)
		return false;
	if (app->credentials && app->keeper)
		credentials_use(app->credentials, app->keeper);
	app->sandbox = confine(&app->options, app->dirs, replay_process(app->replay));
	return true;
}

static bool app_prepare(struct app *app, GError **error)
{
	return app_start_helpers(app, error) && app_find_secrets(app, error) &&
	       app_claim_dirs(app, error) && app_confine(app, error) &&
	       app_open_files(app, error) && app_build(app, error);
}

/* The end may take as long as the server does. */
static void tell_stopping(const struct app *app)
{
	g_autofree char *lines = g_strdup_printf(
		"STOPPING=1\nSTATUS=Finishing what was promised\nEXTEND_TIMEOUT_USEC=%" PRIi64,
		(2 * finish_ms(app) + FINISH_SLACK_MS) * 1000);

	supervisor_tell(app->supervisor, lines);
}

static void tell_ready(const struct app *app)
{
	g_autofree char *where = text_clean(app->options.mountpoint, -1, PATH_MAX);
	g_autofree char *lines =
		g_strdup_printf("READY=1\nSTATUS=%s on %s", app->options.account.name, where);

	supervisor_tell(app->supervisor, lines);
}

/* What was promised while it was mounted. Who mounts the account now waits for us. */
static void app_finish(const struct app *app)
{
	tell_stopping(app);
	claim_finishing(app->state_claim);
	claim_finishing(app->cache_claim);
	if (app->outbox)
		outbox_flush(app->outbox, finish_ms(app));
	engine_flush(app->engine, finish_ms(app));
}

/* From the first connection to the end. */
static bool app_serve(struct app *app, GError **error)
{
	const struct account *account = &app->options.account;
	bool served;

	engine_start(app->engine);
	if (!account->delay_connect && !account->offline && !engine_wait_ready(app->engine, error))
		return false;
	if (!mount_attach(app->mount, app->tree, app->engine, app->outbox, error))
		return false;
	if (app->outbox)
		outbox_start(app->outbox);
	log_info("%s is mounted on %s", app->options.account.name, app->options.mountpoint);
	if (app->parent_fd >= 0 && !daemon_detach(app->parent_fd)) {
		log_error("the process that was to wait for the mount is gone");
		return true;
	}
	tell_ready(app);
	served = mount_serve(app->mount, error);
	app_finish(app);
	return served;
}

static void app_close(struct app *app)
{
	if (app->outbox)
		outbox_stop(app->outbox);
	if (app->engine)
		engine_stop(app->engine);
	mount_free(&app->mount);
	replay_free(&app->replay);
	mounter_free(&app->mounter);
	watchdog_free(&app->watchdog);
	tree_free(&app->tree);
	outbox_free(&app->outbox);
	engine_free(&app->engine);
	bodies_close(&app->bodies);
	index_close(&app->index);
	if (app->state)
		state_close(&app->state);
	if (app->cache_claim >= 0)
		close(app->cache_claim);
	if (app->state_claim >= 0)
		close(app->state_claim);
	credentials_free(&app->credentials);
	keeper_free(&app->keeper);
	supervisor_free(&app->supervisor);
	g_free(app->sandbox);
	for (size_t i = 0; i < DIR_COUNT; i++)
		g_free(app->dirs[i]);
	g_free(app->outbox_dir);
	options_clear(&app->options);
}

static int exit_code(bool helper, int code)
{
	if (!helper)
		return code;
	switch (code) {
	case EX_OK:
		return EX_OK;
	case EX_USAGE:
	case EX_CONFIG:
		return HELPER_USAGE;
	case EX_OSERR:
	case EX_SOFTWARE:
		return HELPER_SYSTEM;
	default:
		return HELPER_MOUNT;
	}
}

static int report(const GError *error)
{
	log_error("%s", error->message);
	if (g_error_matches(error, MAILFS_ERROR, ERROR_USAGE))
		fprintf(stderr, "Try 'mailfs --help'\n");
	return error_exit_code(error);
}

static int run(struct app *app)
{
	g_autoptr(GError) error = NULL;
	int code = EX_OK;

	label_init();
	if (!app->options.foreground) {
		log_quiet_stderr();
		app->parent_fd = daemon_fork(exit_code(app->options.helper, EX_SOFTWARE));
		if (app->parent_fd < 0) {
			log_error("cannot start a process: %s", g_strerror(errno));
			return EX_OSERR;
		}
	}
	/* There is nothing to reload yet. Who asks on a terminal hears of its end. */
	signal(SIGHUP, SIG_IGN);
	if (!app_prepare(app, &error) || !app_serve(app, &error))
		code = report(error);
	app_close(app);
	return code;
}

static void harden_process(void)
{
	const struct rlimit none = {0, 0};
	struct rlimit files;

	daemon_open_stdio();
	umask(077);
	/* The password is in memory: no core, also not for a collector, and no looking in. */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	/* Each message that somebody has open is a file here. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
	/* Who ignores it would never hear of its helpers' ends. */
	signal(SIGCHLD, SIG_DFL);
}

static void print_version(void)
{
	printf("mailfs %s\nlibfuse %s\nGLib %u.%u.%u\n", MAILFS_VERSION, mount_library_version(),
	       glib_major_version, glib_minor_version, glib_micro_version);
}

/* One account, until it is unmounted; as all_serve_fn has it. */
static int serve(struct options *options, struct supervisor *supervisor)
{
	struct app app = {
		.options = *options, .parent_fd = -1, .state_claim = -1, .cache_claim = -1};
	const char *alias = options->account.alias;
	g_autofree char *ident = alias ? g_strdup_printf("mailfs[%s]", alias) : g_strdup("mailfs");

	log_open(ident, options->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
	app.supervisor = supervisor ? supervisor : supervisor_new();
	return run(&app);
}

static void print_accounts(char **accounts)
{
	for (; *accounts; accounts++)
		puts(*accounts);
}

static int perform(int argc, char **argv)
{
	struct options options;
	g_autoptr(GError) error = NULL;
	g_autofree char *help = NULL;
	int code = EX_OK;

	switch (options_parse(&options, argc, argv, &error)) {
	case OPTIONS_RUN:
		if (!options.fake)
			return serve(&options, NULL);
		break;
	case OPTIONS_ALL:
		code = all_run(&options, argc, argv, serve);
		break;
	case OPTIONS_CHECK:
		code = check_run(&options, argc, argv);
		break;
	case OPTIONS_LIST_ACCOUNTS:
		print_accounts(options.accounts);
		break;
	case OPTIONS_PRINT_CONFIG:
		fputs(options.text, stdout);
		break;
	case OPTIONS_HELP:
		help = options_help();
		fputs(help, stdout);
		break;
	case OPTIONS_VERSION:
		print_version();
		break;
	case OPTIONS_ERROR:
		return report(error);
	}
	options_clear(&options);
	return fflush(stdout) == 0 ? code : EX_IOERR;
}

int main(int argc, char **argv)
{
	harden_process();
	log_open("mailfs", LOG_LEVEL_INFO);
	return exit_code(argc > 0 && options_is_helper(argv[0]), perform(argc, argv));
}
