#include "fuse/private.h"

#include "base/clock.h"

/* Before it is mounted there is nobody to tell. */
static bool has_tree(struct mount *mount)
{
	bool has;

	pthread_mutex_lock(&mount->mutex);
	has = mount->state != MOUNT_NEW && mount->tree;
	pthread_mutex_unlock(&mount->mutex);
	return has;
}

static void write_line(struct mount *mount, const char *kind, const char *path, const char *more)
{
	streams_tell(mount->streams, clock_wall_ns(), kind, path, more);
}

static char *path_in(struct mount *mount, uint64_t dir, const char *name)
{
	g_autofree char *above = tree_path(mount->tree, dir);

	if (!above)
		return NULL;
	return *above ? g_strconcat(above, "/", name, NULL) : g_strdup(name);
}

/* --- what the engine tells --- */

/* What happened to something in a directory. */
struct happening {
	const char *kind;
	uint64_t parent;
	char *name; /* NULL: nothing to tell */
	char *old;  /* path; or why */
	bool replayed;
	enum replay_kind replay;
};

static void happening_clear(struct happening *happening)
{
	g_free(happening->name);
	g_free(happening->old);
}

/* The name that it is listed under. With a name that a client of this mount chose the kernel knows
 * it already: it came by this mount. */
static void about_message(struct mount *mount, const struct engine_news *news,
			  struct happening *ret)
{
	uint64_t node = tree_message_node(news->epoch, news->uid);
	uint32_t folder;
	g_autoptr(GPtrArray) names = tree_message_names(mount->tree, node, &folder);

	if (!names)
		return;
	ret->name = g_strdup(g_ptr_array_index(names, names->len - 1));
	ret->replayed = news->kind == NEWS_FLAGS || (news->kind == NEWS_NEW && names->len == 1);
	ret->replay = news->kind == NEWS_FLAGS ? REPLAY_ATTRIB : REPLAY_CREATE;
	if (news->kind == NEWS_FAILED)
		ret->old = g_strdup(news->text);
}

static void about_gone(struct mount *mount, const struct engine_news *news, struct happening *ret)
{
	ret->name = news->chosen
			    ? g_strdup(news->chosen)
			    : tree_message_name(mount->tree, news->uid, news->text, news->token);
	ret->replayed = true;
	ret->replay = REPLAY_DELETE;
}

/* Where it is now; false: it is gone again. */
static bool place_of_folder(struct mount *mount, uint32_t folder, struct happening *ret)
{
	g_autofree char *path = tree_path(mount->tree, tree_folder_node(folder));
	uint32_t parent;

	if (!path || !tree_folder_parent(mount->tree, folder, &parent))
		return false;
	ret->parent = tree_folder_node(parent);
	ret->name = g_path_get_basename(path);
	return true;
}

static void about_folder(struct mount *mount, const struct engine_news *news, struct happening *ret)
{
	switch (news->kind) {
	case NEWS_FOLDER_GONE:
		ret->parent = tree_folder_node(news->parent);
		ret->name = tree_folder_name(news->parent, news->text);
		break;
	case NEWS_FOLDER_MOVED: {
		g_autofree char *old = tree_folder_name(news->parent, news->text);

		if (place_of_folder(mount, news->folder, ret))
			ret->old = path_in(mount, tree_folder_node(news->parent), old);
		break;
	}
	default:
		place_of_folder(mount, news->folder, ret);
		break;
	}
	ret->replayed = news->kind != NEWS_FOLDER_MOVED && !news->own;
	ret->replay = news->kind == NEWS_FOLDER_NEW ? REPLAY_MKDIR : REPLAY_RMDIR;
}

static void find_out(struct mount *mount, const struct engine_news *news, struct happening *ret)
{
	static const char *const kinds[] = {
		[NEWS_NEW] = "new",
		[NEWS_GONE] = "gone",
		[NEWS_FLAGS] = "flags",
		[NEWS_FAILED] = "failed",
		[NEWS_FOLDER_NEW] = "folder",
		[NEWS_FOLDER_GONE] = "folder",
		[NEWS_FOLDER_MOVED] = "moved",
	};

	*ret = (struct happening){.kind = kinds[news->kind],
				  .parent = tree_folder_node(news->folder)};
	switch (news->kind) {
	case NEWS_NEW:
	case NEWS_FLAGS:
	case NEWS_FAILED:
		about_message(mount, news, ret);
		break;
	case NEWS_GONE:
		about_gone(mount, news, ret);
		break;
	default:
		about_folder(mount, news, ret);
		break;
	}
}

/* Only of directories that the kernel knows; it always knows the root, and any that is watched. */
static void tell_watchers(struct mount *mount, const struct happening *happening)
{
	g_autofree char *dir = NULL;

	if (!happening->replayed || !replay_is_on(mount->replay) ||
	    (happening->parent != tree_folder_node(INDEX_ROOT) &&
	     !known_has(mount->known, happening->parent)))
		return;
	dir = tree_path(mount->tree, happening->parent);
	if (dir)
		replay_push(mount->replay, happening->replay, happening->parent, dir,
			    happening->name);
}

static void tell_happening(struct mount *mount, const struct engine_news *news)
{
	struct happening happening;
	g_autofree char *path = NULL;

	find_out(mount, news, &happening);
	if (happening.name)
		path = path_in(mount, happening.parent, happening.name);
	if (path) {
		write_line(mount, happening.kind, path, happening.old);
		tell_watchers(mount, &happening);
	}
	happening_clear(&happening);
}

static void tell_many(struct mount *mount, uint32_t folder)
{
	uint64_t node = tree_folder_node(folder);
	g_autofree char *path = tree_path(mount->tree, node);

	if (!path)
		return;
	write_line(mount, "folder", *path ? path : ".", NULL);
	if (replay_is_on(mount->replay) && (folder == INDEX_ROOT || known_has(mount->known, node)))
		replay_push_folder(mount->replay, path);
}

/* Most of it is nobody's: finding out what is to be said takes longer than this. */
static bool is_awaited(struct mount *mount, const struct engine_news *news)
{
	if (!has_tree(mount))
		return false;
	if (streams_are_open(mount->streams))
		return true;
	return replay_is_on(mount->replay) &&
	       (news->epoch == 0 || known_has(mount->known, tree_folder_node(news->folder)));
}

void tell_news(struct mount *mount, const struct engine_news *news)
{
	if (!is_awaited(mount, news))
		return;
	switch (news->kind) {
	case NEWS_ONLINE:
		write_line(mount, "online", ".", NULL);
		break;
	case NEWS_OFFLINE:
		write_line(mount, "offline", ".", NULL);
		break;
	case NEWS_MANY:
		tell_many(mount, news->folder);
		break;
	default:
		tell_happening(mount, news);
		break;
	}
}

/* --- what others tell --- */

void tell_verdict(struct mount *mount, const char *name, bool sent, const char *why)
{
	g_autofree char *path = NULL;

	if (!has_tree(mount) || !streams_are_open(mount->streams))
		return;
	path = path_in(mount, tree_outbox_node(!sent), name);
	write_line(mount, sent ? "sent" : "failed", path, sent ? NULL : why);
}

void tell_removed(struct mount *mount, uint64_t parent, const char *name)
{
	g_autofree char *path = NULL;

	if (streams_are_open(mount->streams))
		path = path_in(mount, parent, name);
	if (path)
		write_line(mount, "gone", path, NULL);
}

void tell_renamed(struct mount *mount, uint64_t parent, const char *name, uint64_t new_parent,
		  const char *new_name)
{
	g_autofree char *path = NULL;
	g_autofree char *old = NULL;

	if (!streams_are_open(mount->streams))
		return;
	path = path_in(mount, new_parent, new_name);
	old = path_in(mount, parent, name);
	if (path && old)
		write_line(mount, "moved", path, old);
}
