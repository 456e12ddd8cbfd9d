#include "fuse/private.h"

#include "base/error.h"
#include "base/log.h"
#include "fuse/mountpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define WORKERS 4 /* none of them ever waits for the network */
#define SOFT_WAIT_MS 1000
#define INTERRUPT_WAIT_MS 250
/* Beyond the account's timeout, by which the engine should have settled a need. */
#define HARD_WAIT_SLACK_MS 30000

static void log_line(enum fuse_log_level level, const char *format, va_list args)
	G_GNUC_PRINTF(2, 0);

static void log_line(enum fuse_log_level level, const char *format, va_list args)
{
	g_autofree char *line = g_strdup_vprintf(format, args);
	const char *text = g_str_has_prefix(line, "fuse: ") ? line + strlen("fuse: ") : line;

	g_strchomp(line);
	if (level <= FUSE_LOG_WARNING)
		log_warning("libfuse: %s", text);
	else
		log_debug("libfuse: %s", text);
}

/* While libfuse reads the options: it prints its findings in pieces. */
static void log_nothing(enum fuse_log_level level, const char *format, va_list args)
{
}

static void state_need(void *data, const struct need *need)
{
	const struct mount *mount = data;

	if (need->kind == NEED_EVENTS) {
		if (streams_are_ready(mount->streams, need->uid))
			park_settled(mount->park, need, 0);
	} else if (need->kind == NEED_OUTBOX) {
		outbox_want(mount->outbox, need->uid, (int64_t)need->upto);
	} else {
		engine_need(mount->engine, need);
	}
}

static bool is_at_once(void *data, uint64_t node)
{
	const struct mount *mount = data;

	return tree_is_at_once(mount->tree, node);
}

static bool peek(void *data, uint64_t node, uint32_t size, void *buffer)
{
	const struct mount *mount = data;

	return tree_peek(mount->tree, node, size, buffer);
}

static void hidden_name(void *data, uint32_t folder, const char *name)
{
	const struct mount *mount = data;

	notify_name(mount->notify, tree_folder_node(folder), g_strdup(name), 0);
}

static void hidden_names(void *data, const uint64_t *nodes, size_t count)
{
	const struct mount *mount = data;

	tree_hidden_names(mount->tree, nodes, count, hidden_name, data);
}

/* --- new and free --- */

static char *escape_option(const char *value)
{
	GString *text = g_string_new(NULL);

	for (; *value; value++) {
		if (*value == ',' || *value == '\\')
			g_string_append_c(text, '\\');
		g_string_append_c(text, *value);
	}
	return g_string_free(text, FALSE);
}

/* What stands as the source in the list of mounts. The colon makes df and others take it for
 * remote; but mount(8) compares it with fstab, to know what is mounted already. */
static char *source_name(const struct options *options)
{
	g_autofree char *name = options->helper ? g_strdup(options->source)
						: g_strconcat(options->account.name, ":", NULL);

	return escape_option(name);
}

/* Ours come last, and so win: mount(8) adds dev and suid. */
static GPtrArray *make_arguments(const struct options *options)
{
	GPtrArray *args = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *name = source_name(options);

	g_ptr_array_add(args, g_strdup("mailfs"));
	for (guint i = 0; options->fuse_options && i < options->fuse_options->len; i++) {
		g_ptr_array_add(args, g_strdup("-o"));
		g_ptr_array_add(args, g_strdup(g_ptr_array_index(options->fuse_options, i)));
	}
	g_ptr_array_add(args, g_strdup("-o"));
	g_ptr_array_add(args, g_strdup_printf("fsname=%s,subtype=mailfs,default_permissions,"
					      "%snosuid,nodev,noexec",
					      name, options->account.read_only ? "ro," : ""));
	return args;
}

static struct fuse_session *new_session(const struct options *options, struct mount *mount)
{
	g_autoptr(GPtrArray) array = make_arguments(options);
	struct fuse_args args = FUSE_ARGS_INIT((int)array->len, (char **)array->pdata);
	struct fuse_session *session;

	fuse_set_log_func(log_nothing);
	session = fuse_session_new(&args, &ops_table, sizeof(ops_table), mount);
	fuse_set_log_func(log_line);
	fuse_opt_free_args(&args);
	return session;
}

static void refuse_options(const struct options *options, GError **error)
{
	g_autoptr(GString) list = g_string_new(NULL);

	for (guint i = 0; options->fuse_options && i < options->fuse_options->len; i++)
		g_string_append_printf(list, "%s%s", i ? "," : "",
				       (const char *)g_ptr_array_index(options->fuse_options, i));
	g_set_error(error, MAILFS_ERROR, ERROR_USAGE, "libfuse refuses the options '%s'",
		    list->str);
}

struct mount *mount_new(const struct options *options, const struct mount_helpers *helpers,
			GError **error)
{
	struct mount *mount = g_new0(struct mount, 1);
	const struct park_config config = {
		.state_need = state_need,
		.data = mount,
		.soft_ms = SOFT_WAIT_MS,
		.hard_ms = options->account.timeout_s * INT64_C(1000) + HARD_WAIT_SLACK_MS,
		.interrupt_ms = INTERRUPT_WAIT_MS,
	};

	pthread_mutex_init(&mount->mutex, NULL);
	mount->watchdog = helpers->watchdog;
	mount->replay = helpers->replay;
	mount->mounter = helpers->mounter;
	mount->mountpoint = g_strdup(options->mountpoint);
	mount->xattr = options->account.xattr;
	mount->session = new_session(options, mount);
	if (!mount->session) {
		refuse_options(options, error);
		mount_free(&mount);
		return NULL;
	}
	mount->loop = loop_new(mount->session, options->single ? 1 : WORKERS, is_at_once, mount);
	signals_start(mount);
	mount->known = known_new();
	mount->notify = notify_new(mount->session, mount->known);
	mount->park = park_new(&config);
	mount->streams = streams_new(listen_ready, mount);
	return mount;
}

void mount_free(struct mount **mount)
{
	struct mount *old = *mount;

	if (!old)
		return;
	signals_stop(old);
	replay_stop(old->replay);
	loop_free(&old->loop);
	park_free(&old->park);
	streams_free(&old->streams);
	if (old->notify)
		notify_free(&old->notify);
	known_free(&old->known);
	if (old->state == MOUNT_ATTACHING || old->state == MOUNT_ATTACHED)
		mounter_unmount(old->session, old->watchdog);
	watchdog_stop(old->watchdog);
	if (old->session)
		fuse_session_destroy(old->session);
	pthread_mutex_destroy(&old->mutex);
	g_free(old->mountpoint);
	g_clear_pointer(mount, g_free);
}

const struct engine_events *mount_events(void)
{
	return &events_table;
}

const struct outbox_events *mount_outbox_events(void)
{
	return &outbox_events_table;
}

const char *mount_library_version(void)
{
	return fuse_pkgversion();
}

/* --- attach --- */

static void set_state(struct mount *mount, enum mount_state state)
{
	pthread_mutex_lock(&mount->mutex);
	mount->state = state;
	pthread_mutex_unlock(&mount->mutex);
}

/* The kernel's list is asked for the device, as who asks the mount itself waits for us. `real`: the
 * mountpoint without links. */
static void start_helpers(struct mount *mount, const char *real, const char *mountinfo)
{
	unsigned minor_of;

	if (!real || !mountinfo || !mountpoint_device(mountinfo, real, &minor_of)) {
		log_warning("%s: not in the list of mounts, so no watchdog", mount->mountpoint);
		return;
	}
	watchdog_arm(mount->watchdog, minor_of);
	/* What has no file system of a device has the major number 0. */
	replay_start(mount->replay, real, makedev(0, minor_of));
}

bool mount_attach(struct mount *mount, struct tree *tree, struct engine *engine,
		  struct outbox *outbox, GError **error)
{
	g_autofree char *real = realpath(mount->mountpoint, NULL);
	g_autofree char *mountinfo = NULL;

	mount->tree = tree;
	mount->engine = engine;
	mount->outbox = outbox;
	if (access("/dev/fuse", R_OK | W_OK) < 0) {
		g_set_error(error, MAILFS_ERROR, ERROR_MOUNT, "/dev/fuse: %s%s", g_strerror(errno),
			    errno == ENOENT ? " (try 'modprobe fuse')" : "");
		return false;
	}
	set_state(mount, MOUNT_ATTACHING);
	if (!mounter_mount(mount->mounter, mount->session, mount->mountpoint, &mountinfo)) {
		g_set_error(error, MAILFS_ERROR, ERROR_MOUNT,
			    "%s: cannot mount there (the reason stands above)", mount->mountpoint);
		return false;
	}
	if (!init_patch_install(mount->session)) {
		g_set_error(error, MAILFS_ERROR, ERROR_MOUNT, "%s: libfuse refuses our input",
			    mount->mountpoint);
		mounter_unmount(mount->session, mount->watchdog);
		return false;
	}
	notify_set_source(mount->notify, peek, hidden_names, mount);
	notify_start(mount->notify);
	start_helpers(mount, real, mountinfo);
	set_state(mount, MOUNT_ATTACHED);
	return true;
}

/* --- serve --- */

void mount_stop_helpers(struct mount *mount)
{
	replay_stop(mount->replay);
	park_stop(mount->park);
	notify_stop(mount->notify);
}

bool mount_serve(struct mount *mount, GError **error)
{
	int result = loop_run(mount->loop);

	set_state(mount, MOUNT_ENDED);

	signals_stop(mount);
	mount_stop_helpers(mount);
	mounter_unmount(mount->session, mount->watchdog);
	ops_abandon_all(mount);
	if (result < 0)
		g_set_error(error, MAILFS_ERROR, ERROR_MOUNT, "%s: the kernel's channel failed: %s",
			    mount->mountpoint, g_strerror(-result));
	return result >= 0;
}
