/* The engine between its files. Everything belongs to the engine thread but `shared`.
 *
 * A turn of the thread: poll; step the lanes, whose facts become index changes (apply.c) and whose
 * finished jobs settle needs; look at new needs (needs.c); make jobs of what was promised
 * (change.c, upload.c, folder_op.c) and give jobs to lanes (lane.c); poll folders in use
 * (folders.c); commit the index; only then tell the others what changed and what is settled
 * (report.c).
 */
#pragma once

#include "engine/engine.h"
#include "state/changes.h"
#include "state/spool.h"
#include "store/store.h"

#include <pthread.h>

#define ENGINE_STALL_MS 1000  /* silence after which waiting for freshness is pointless */
#define ENGINE_FIRST_MS 5000  /* the same of the first connection of a mount that came earlier */
#define ENGINE_DEMAND_MS 5000 /* a need may cut the back-off short this long after the last try */
#define ENGINE_RETRY_MS 1000  /* the first back-off; doubles to the next */
#define ENGINE_RETRY_MAX_MS 600000
#define ENGINE_TRIES 2		/* of a job, over connections */
#define ENGINE_IN_USE_MS 600000 /* a folder looked at is polled for so long */
#define ENGINE_LOOK_MS 1000	/* which folders are due is looked at no more often */
#define ENGINE_POLLED 20	/* folders polled at most */
#define ENGINE_PROBE_MS 540000	/* an idle connection says NOOP */
#define ENGINE_CHANGED_MS 1000	/* a changing folder is refreshed no more often */
/* A folder whose count stays wrong is listed again so soon, then more and more seldom: it may be
 * another client that is busy in it. */
#define ENGINE_HEAL_MS 2000
#define ENGINE_HEAL_MAX_MS 3600000
#define ENGINE_STABLE_MS 5000 /* a connection that lived so long was no failure */
#define ENGINE_LATE 16384	/* ranges of UIDs: each costs time when another comes before it */
#define ENGINE_AHEAD_MIN 8    /* messages fetched ahead at first; grows to */
#define ENGINE_AHEAD_MAX 256
#define ENGINE_AHEAD_FEW 32		     /* while others may have to wait for them */
#define ENGINE_AHEAD_BYTES (4 * 1024 * 1024) /* and no more than that */
#define ENGINE_AHEAD_SIZE ENGINE_WINDOW	     /* of a message that is fetched ahead */
#define ENGINE_RUNS 32			     /* readers' places that are followed */
/* Batches of one that are not read yet: two, and more within so many bytes. These double each time
 * that its reader has to wait, and the line was idle when what he waits for was asked for. */
#define ENGINE_RUN_BATCHES 17
#define ENGINE_RUN_BYTES (8 * 1024 * 1024)
#define ENGINE_RUN_BYTES_MAX (32 * 1024 * 1024)
#define ENGINE_AHEAD_PART 16	       /* of the cache: no more than that part for one */
#define ENGINE_TRUST_FROM 128	       /* messages of a folder whose first is read: */
#define ENGINE_TRUST_BYTES (64 * 1024) /* of a batch for who may be about to read in order */
#define ENGINE_AHEAD_PAUSE_MS 60000    /* after a batch that failed */
/* Who waits for a message of a batch waits for so many bytes before it; else it is fetched alone.
 */
#define ENGINE_AHEAD_FAR (256 * 1024)
#define ENGINE_PAGES_SIZE (64 * 1024) /* of a message that is offered to the kernel's cache */
#define ENGINE_PAGE_RUNS 8	      /* readers of what is here, followed side by side */
#define ENGINE_OPENED 16384	      /* messages remembered as opened */
#define ENGINE_WINDOW (1024 * 1024)   /* bytes; messages up to that size are fetched whole */
#define ENGINE_CLOSING_MS 5	      /* between looks at whether a file was closed */
#define ENGINE_COMPANY_MS 200	      /* a change waits so long for others that can go with it */
/* A command whose connection was lost may still be carried out: what became of it is not looked for
 * earlier. */
#define ENGINE_DOUBT_MS 2000
#define ENGINE_SESSION_IDLE_MS 3000 /* a brief session without a job is ended */
#define ENGINE_SESSION_MS 5000	    /* in which changes let others go first */
#define ENGINE_OUTDATED_MS 10000    /* and one that told what is wrong is not followed earlier */
#define ENGINE_LOCKED_MS 5000	    /* back-off from a mailbox in use; doubles to */
#define ENGINE_LOCKED_MAX_MS 60000
#define ENGINE_IDLE_MS 60000   /* a connection that is opened on demand is closed */
#define ENGINE_WANTED_MS 10000 /* one that will soon be needed is opened within that time */

#define ENGINE_WATCHED 3	   /* connections that watch a mailbox each */
#define ENGINE_WATCHED_MANY 32u	   /* mailboxes that one watches, where it can */
#define ENGINE_WATCH_KEPT_MS 60000 /* a folder used so lately gives way to no other */
#define ENGINE_WATCH_LOOK_MS                                                                       \
	30000 /* what is not watched yet, or not used any more, is looked for */
#define ENGINE_WATCH_PAUSE_MS 120000 /* a folder that could not be watched is not tried earlier */
/* A connection that nobody waits for, and that was not to be had, is not tried earlier. */
#define ENGINE_EXTRA_PAUSE_MS 120000

/* BODY: what somebody waits for; BULK: what is read ahead. From BULK on they are opened when there
 * is something to do. WATCH and those behind it watch. */
enum lane_id {
	LANE_LIST,
	LANE_BODY,
	LANE_BULK,
	LANE_CHANGE,
	LANE_WATCH,
	LANES = LANE_WATCH + ENGINE_WATCHED,
};

/* FINISHING: takes no more jobs, and ends. */
enum lane_state { LANE_CLOSED, LANE_CONNECTING, LANE_READY, LANE_FINISHING };

struct lane {
	const char *role;
	enum lane_state state;
	struct store *store;
	GQueue queue;	   /* of struct store_job, not yet submitted */
	unsigned running;  /* submitted */
	bool dying;	   /* its store is being closed after an error */
	const struct credential *credential; /* that it logs in with; NULL: not now */
	bool waits;	   /* for one */
	bool reopened;	   /* at once, after a short life: the next time it must wait */
	int64_t busy_ms;   /* since when the server owes an answer; 0: it does not */
	int64_t used_ms;   /* the last job */
	int64_t opened_ms; /* when it began to connect */
	int64_t ready_ms;  /* since when it is logged in */
	int64_t retry_ms;  /* one that nobody waits for: not before */
	int64_t wanted_ms; /* there will be something for it in a moment; 0: no */
};

/* What a WATCH lane is for (watch.c). */
struct watcher {
	GArray *folders; /* ids: asked for, or watched */
	bool many;	 /* by one job for several; else there is one, or none */
	char *name;	 /* its mailbox, as it was asked for */
	bool live;	 /* some are watched */
	uint32_t ticket; /* of the job */
	int64_t asked_ms;
};

/* The sessions of a store that holds none for long (brief.c). */
struct brief {
	bool calm; /* the last one ended as it should; false: there was none */
	int64_t began_ms;
	int64_t seen_ms;   /* what it told was true then */
	int64_t next_ms;   /* none earlier, unless somebody waits */
	int64_t rest_ms;   /* till then the server wants none, whoever waits */
	bool told_rest;	   /* the log says so */
	unsigned locked;   /* logins in a row that found the mailbox in use */
	int64_t locked_ms; /* the first of them */
};

/* What is known beyond the index; lives as long as the engine. */
struct folder_state {
	uint32_t id;
	bool refreshing;  /* a job is queued or running */
	bool changed;	  /* news came: refresh again */
	bool asked;	  /* a STATUS of it is queued or running */
	bool lost;	  /* what the refresh tells is not kept */
	bool full;	  /* count and index disagree: list all again */
	bool verify;	  /* they disagree: find out which exist */
	bool held;	  /* it is being renamed or removed: not to be opened */
	bool flags;	  /* of known messages some have changed, or are shown otherwise */
	bool watched;	  /* what happens in it is told */
	int64_t watch_ms; /* it could not be watched: not tried before */
	unsigned healed;  /* steps taken to make them agree */
	int64_t heal_ms;  /* they are not taken again before */
	int64_t heal_pause_ms;
	uint64_t began; /* the refresh under way, or the last: see struct engine.order */
	uint64_t ended; /* the last one, likewise */
	uint64_t late;	/* a confirmation that the index lacks until a later refresh; 0: there is none */
	int64_t refreshed_ms;
	int64_t told_ms; /* that the refresh under way gets on */
	unsigned listed; /* messages that it told, of a folder that was never listed */
	unsigned news;	 /* told since the refresh that began last (news.c) */
	uint64_t news_began;
};

/* Seen by other threads too, under engine->lock. */
struct folder_age {
	int64_t fresh_ms; /* 0: never */
	bool watched;	  /* it stays fresh until it is told of */
	bool partly;	  /* but not its flags */
	int64_t tried_ms; /* the last refresh or listing, however it ended */
	int64_t used_ms;
};

enum account_state {
	ACCOUNT_CONNECTING,
	ACCOUNT_ONLINE,
	ACCOUNT_OFFLINE,
	ACCOUNT_REFUSED,
	ACCOUNT_KEPT_OFFLINE, /* by the user, for as long as it is mounted */
};

/* Of a folder, under engine->lock. */
struct known_rights {
	struct store_rights rights;
	bool old; /* an earlier connection's: what was denied may have been granted since */
};

/* A run of messages that are here and are read in order (ahead.c): those from `from` to `upto` are
 * in the kernel's cache, or about to be. */
struct pages {
	uint32_t epoch; /* 0: none */
	uint32_t from, upto;
	unsigned window; /* messages */
	bool busy;	 /* `upto` is not known yet */
};

/* Messages that are read in order, from the server (ahead.c). */
struct run {
	uint32_t id; /* 0: none */
	uint32_t epoch;
	uint32_t end;	 /* the last UID asked for */
	unsigned window; /* messages of the last batch; 0: there was none */
	uint32_t batches;
	uint64_t bytes;			     /* of all batches */
	uint64_t most_bytes;		     /* that are not read yet */
	bool idle;			     /* the line was, when the last batch was asked for */
	uint64_t before[ENGINE_RUN_BATCHES]; /* those before the nth, of the last ones */
};

/* For status. */
struct last_error {
	char *text; /* NULL: there was none */
	int64_t when_ns;
	const struct lane *lane; /* that had it */
	bool over;		 /* and has connected since */
};

/* Under engine->lock. */
struct shared {
	GArray *needs; /* of struct need: stated, not looked at yet */
	bool stop;
	bool reconnect;
	bool demand;	    /* somebody looked at a folder while offline */
	bool settled_first; /* the first attempt ended */
	GError *first_error;
	GHashTable *opened;   /* set of messages opened lately (ahead.c) */
	GHashTable *triggers; /* message -> struct trigger: its opening asks for more */
	struct pages pages[ENGINE_PAGE_RUNS];
	unsigned next_pages;
	GHashTable *ages; /* folder -> struct folder_age; INDEX_ROOT: the folder list */
	enum account_state state;
	int64_t state_since_ns;
	int64_t busy_ms[LANES];
	char *description; /* of the connection, for status */
	unsigned connections;
	struct last_error last_error;
	struct store_quota quota;
	bool has_quota;
	bool changed; /* the state holds something new, and the engine knows */
	bool flush;   /* somebody waits for all that is pending */
	bool flushed; /* there is nothing left that could be done now */
	unsigned abilities;
	uint64_t append_max_bytes;
	enum sizes_trust trust;
	GHashTable *rights; /* folder -> struct known_rights */
	GHashTable *arrivals; /* folder -> struct coming (arrivals.c) */
	char *watched;	    /* paths, for status; NULL: none */
	GArray *operations; /* of struct operation *: asked for, not looked at yet */
	uint32_t last_ticket;
};

/* A folder operation, from the ticket to the verdict (folder_op.c). */
struct operation {
	uint32_t ticket;
	enum folder_op_kind kind;
	uint32_t folder;
	char *mailbox;
	char *target;
	char separator;
	unsigned leaving; /* connections that have not said yet that they left it */
};

struct engine {
	struct engine_names names;
	const struct account *account;
	struct credentials *credentials;
	const struct store_ops *ops;
	const char *sandbox; /* may be NULL */
	struct index *index;
	struct index_view *view; /* what the others see */
	struct bodies *bodies;
	struct state *state;
	const struct engine_events *events;
	void *data;

	pthread_t thread;
	bool started;
	int wake_fd; /* eventfd */
	pthread_mutex_t lock;
	pthread_cond_t first;	/* shared.settled_first */
	pthread_cond_t flushed; /* shared.flushed */
	struct shared shared;

	int64_t now_ms;
	uint64_t order; /* of confirmations, and of the begins and ends of refreshes */
	int64_t now_ns;
	struct lane lanes[LANES];
	struct lane *lane;    /* whose store is calling the sink */
	GHashTable *pending;  /* need -> itself, of struct need */
	GHashTable *fetching; /* body need -> struct fetching (body.c) */
	GHashTable *folders;  /* id -> struct folder_state */
	struct run runs[ENGINE_RUNS];
	uint32_t last_run;
	int64_t ahead_not_before_ms;
	uint64_t ahead_asked; /* bytes of all batches so far */
	uint64_t ahead_got;   /* so far they came */
	bool listing;	      /* a LIST is queued or running */
	bool polling;	      /* a STATUS is */
	bool compare;	      /* connected anew: has anything changed meanwhile? */
	bool counted;	      /* the listing under way tells */
	int64_t look_ms;      /* when to look again for what is to be polled */
	bool start_settled;   /* the first listing came: tell after the commit */
	bool listing_lost;    /* what it told was not kept */
	bool listed_inbox;    /* it told of INBOX */
	unsigned failures;    /* connections that failed in a row */
	int64_t waiting_ms;   /* since when there is nothing to log in with yet; 0: there is */
	bool refused;	      /* the login: not tried before somebody says so */
	bool alone;	      /* it is refused to all connections but the listing one */
	int64_t attempt_ms;   /* the last connection begun */
	int64_t retry_ms;     /* not before */
	GError *down;	      /* why there is no connection */
	bool doubtful;	      /* whether there will be one: who waits for it waits a moment only */
	struct brief brief;
	struct watcher watchers[ENGINE_WATCHED];
	uint32_t last_watch;   /* ticket */
	int64_t watch_look_ms; /* when to look again for what is to be watched */
	bool watch_singly;     /* the server failed to watch many at once */

	int64_t change_ms;  /* when what is pending is looked at; INT64_MAX: when something comes */
	bool flushing;	    /* all that is pending goes at once */
	int64_t doubt_ms;   /* till then a server may still be at work for an earlier run of ours */
	bool changing;	    /* a batch of changes is in hand */
	GHashTable *unseen; /* set of folders: what became of them while there was no connection is
			     * looked at before they are changed */
	struct seek *seek;  /* of that batch: what became of it is being found out */
	bool uploading;	    /* a spool file is in hand: */
	struct spool_file upload;
	int upload_fd;
	GHashTable
		*marks; /* target mailbox -> struct store_mailbox: UIDNEXT behind our last APPEND */
	uint32_t moving; /* the epoch that a MOVE is under way from; 0: none */
	struct seqset moving_uids;
	struct seqset moved; /* those that went meanwhile: removed when it is known where to */
	GHashTable
		*refused_in; /* folder -> errno of a change that was refused, until somebody asks */
	GPtrArray *operations; /* of struct operation *, under way */
	bool measuring;	       /* whether announced sizes are true is being found out, */
	struct need measured;  /* by this message */
	bool list_again;       /* the LIST under way may tell half of an operation: it is passed over */

	uint32_t last_folder; /* apply.c: whose epoch is last_epoch; 0: none */
	uint32_t last_epoch;
	uint64_t last_uidvalidity;
	char last_token[sizeof(((struct folder_row *)NULL)->token)];
	bool last_synced;
	uint64_t last_modseq;

	/* For after the commit. */
	GArray *reports;      /* of struct report */
	GHashTable *touched;  /* set of folder ids whose entries changed */
	GArray *news;	      /* of struct engine_news, with their strings */
	bool news_of_folders; /* those that there were at the start are known */
	bool news_own;	      /* the folder that is made now is made by us */
};

/* With the lock held. */
bool engine_is_stalled_locked(const struct engine *engine);
/* Any thread. */
void engine_wake(struct engine *engine);

/* lane.c */
const char *account_state_word(enum account_state state);
void lanes_init(struct engine *engine);
/* Whoever waits for the start is told what goes wrong, and says it. Engine thread. */
bool lanes_are_starting(const struct engine *engine);
void lanes_clear(struct engine *engine);
/* Silence is not waited for again and again. */
void lanes_lose_patience(struct engine *engine);
void lane_queue(struct engine *engine, enum lane_id id, struct store_job *job);
/* Of the queue to the lane's store: one, or as many as it accepts. */
bool lane_submit_one(struct engine *engine, struct lane *lane, GQueue *queue);
void lane_submit_from(struct engine *engine, struct lane *lane, GQueue *queue);
/* What is queued or in hand goes by the new name. */
void lanes_renamed(struct engine *engine, const struct operation *operation);
void lanes_connect(struct engine *engine);
void lanes_submit(struct engine *engine);
/* Steps those with events or deadlines passed. */
void lane_step(struct engine *engine, struct lane *lane, bool due);
/* When the lanes must be looked at again without an event. */
int64_t lanes_deadline_ms(const struct engine *engine);
/* From the sink: the job is ours again. */
void lane_done(struct engine *engine, struct store_job *job, const GError *error);
/* The first listing came, or there is no connection for it: whoever waits for the start may go on.
 */
void lanes_first_attempt_ended(struct engine *engine, const GError *error);
/* No connection that could run jobs of that lane, and none is to be tried yet. */
bool lane_is_down(const struct engine *engine, enum lane_id id);
/* There will be something for it to do in a moment: it is opened now, if it is not. */
void lane_want(struct engine *engine, enum lane_id id);
/* It is not there yet, but may be in a moment. */
bool lane_is_coming(const struct engine *engine, enum lane_id id);
int lanes_down_errno(const struct engine *engine);
void lanes_demand(struct engine *engine);
void lanes_reconnect(struct engine *engine);

/* brief.c */
bool brief_is(const struct engine *engine);
/* One connection for all. */
bool brief_is_alone(const struct engine *engine);
/* How long a change waits for others. */
int64_t brief_company_ms(const struct engine *engine);
/* What is told now was true then. */
int64_t brief_seen_ms(const struct engine *engine);
/* What it told is known to be wrong: the next listing is another session's. */
void brief_outdated(struct engine *engine);
/* When a session is wanted; 0: at once; INT64_MAX: there is nothing to do. */
int64_t brief_due_ms(const struct engine *engine);
bool brief_may_begin(struct engine *engine);
/* What folders_poll() asks for will be done. */
bool brief_may_poll(const struct engine *engine);
void brief_begin(struct engine *engine);
/* Every session tells of all folders, or of those never opened: the next one can come later. */
void brief_list(struct engine *engine, bool only_new);
void brief_end(struct engine *engine, bool calm);
/* Another session holds the mailbox: that is waited for, and nobody fails by it. */
bool brief_is_locked_out(struct engine *engine, const struct lane *lane, const GError *error);
void brief_wait_for_lock(struct engine *engine, const GError *error);
void brief_submit(struct engine *engine);
/* When the session must be looked at again, if nothing runs in it. */
int64_t brief_deadline_ms(const struct engine *engine);

/* status.c */

/* It is this lane's, and the last one. */
void status_error(struct engine *engine, const struct lane *lane, const GError *error);
void status_recovered(struct engine *engine, const struct lane *lane);

/* needs.c */
void needs_take(struct engine *engine, const struct need *need);
/* All with that key. */
void needs_settle(struct engine *engine, enum need_kind kind, uint32_t id, uint32_t uid, int error);
void needs_settle_all(struct engine *engine, int error);
/* The need that is pending with that key, or NULL. */
struct need *needs_find(struct engine *engine, enum need_kind kind, uint32_t id, uint32_t uid);

/* folders.c */
struct folder_state *folder_state(struct engine *engine, uint32_t id);
void folder_refresh(struct engine *engine, uint32_t id);
void folder_changed(struct engine *engine, uint32_t id);
void folder_flags_changed(struct engine *engine, uint32_t id);
/* The store that calls the sink is that of the refreshes: what both tell is in one order. */
bool folders_tell(const struct engine *engine);
/* A refresh is under way, or one ended after `order`. */
bool folder_told_since(struct engine *engine, uint32_t id, uint64_t order);
/* Asks at once for what the index lacks; false: there is nothing, or it cannot be had. */
bool folders_catch_up(struct engine *engine);
/* STATUS of it, whoever asked. */
void folder_told(struct engine *engine, const struct folder_row *row,
		 const struct store_mailbox *mailbox);
/* A refresh brought a message: who waits for a large listing waits on, not to be taken for
 * forgotten. */
void folder_progress(struct engine *engine, uint32_t id);
void folders_lost(struct engine *engine);
void folder_done(struct engine *engine, struct store_job *job, const GError *error);
void folder_compare(struct engine *engine, uint32_t id, uint64_t server, uint64_t known);
/* Folders that were given up are healed again. */
void folders_heal(struct engine *engine);
void folders_list(struct engine *engine);
/* They were listed over the present connection, or the last. Any thread. */
bool folders_are_known(struct engine *engine);
/* All that was kept of its messages. */
void folder_forget(struct engine *engine, const struct folder_row *row);
void folders_listed(struct engine *engine, const GError *error);
void folders_polled(struct engine *engine, const struct store_job *job, const GError *error);
/* Asks for news of folders in use; gives when to come again. */
int64_t folders_poll(struct engine *engine);
void folder_set_fresh(struct engine *engine, uint32_t id, int64_t at_ms);
/* The server was asked: what it refuses is not asked for again and again. */
void folder_set_tried(struct engine *engine, uint32_t id, int64_t at_ms);

void folder_set_watched(struct engine *engine, uint32_t id, bool on);
struct folder_use {
	uint32_t folder;
	int64_t used_ms;
};
/* Those listed and in use, of struct folder_use, the last used first; `max` at most. */
GArray *folders_used(struct engine *engine, unsigned max);

/* arrivals.c: the first listing of a folder */
/* A refresh has opened it. */
void arrivals_begin(struct engine *engine, uint32_t folder);
/* The listing told of a message; `is_new`: which the index had not. */
void arrivals_told(struct engine *engine, uint32_t folder, uint32_t uid, bool is_new);
/* The index has one that it had not, and not from the listing. */
void arrivals_put(struct engine *engine, uint32_t folder, uint32_t uid);
/* What was told so far is committed. */
void arrivals_shown(struct engine *engine);
/* The refresh has ended, after the commit. */
void arrivals_end(struct engine *engine, uint32_t folder, bool complete);
void arrivals_forget(struct engine *engine, uint32_t folder);
/* More is there than up to `upto`, or all that there is. */
bool arrivals_have(struct engine *engine, const struct folder_row *row, uint64_t upto);
void arrivals_free(void *coming);

/* watch.c */
void watch_init(struct engine *engine);
void watch_clear(struct engine *engine);
/* Asks for what is to be watched; gives when to come again. */
int64_t watch_run(struct engine *engine);
void watch_began(struct engine *engine, uint32_t folder);
void watch_done(struct engine *engine, struct store_job *job, const GError *error);
/* There is a new connection: what failed before is tried again. */
void watch_again(struct engine *engine);
void watch_renamed(struct engine *engine);

/* body.c */
void body_fetch(struct engine *engine, uint32_t epoch, uint32_t uid);
void body_done(struct engine *engine, struct store_job *job, const GError *error);
/* Readers of the first bytes do not wait for the last. */
void body_got_further(struct engine *engine, uint32_t epoch, uint32_t uid);
/* So much may be read while its job goes on. */
void body_came(struct engine *engine, uint32_t epoch, uint32_t uid, uint64_t upto);
/* The job asks for what is not here yet. */
void body_go_on(struct engine *engine, struct store_job *job);
bool body_is_met(struct engine *engine, uint32_t epoch, uint32_t uid, uint64_t upto);

/* A job for this message, or NULL if it is unknown. */
struct store_job *body_job(struct engine *engine, uint32_t epoch, uint32_t uid);
/* A job that will bring it is queued or running. */
bool body_is_under_way(struct engine *engine, uint32_t epoch, uint32_t uid);
/* It is one of a batch; `place`: engine.ahead_asked with it. */
void body_set_ahead(struct engine *engine, uint32_t epoch, uint32_t uid, uint64_t place);
void body_end_ahead(struct engine *engine, uint32_t epoch, uint32_t uid);
/* It did not come alone meanwhile, nor is it about to. */
bool body_takes_ahead(struct engine *engine, uint32_t epoch, uint32_t uid);

/* ahead.c */
/* A folder that was never listed has one more message than was known. */
void ahead_listed(struct engine *engine, uint32_t folder);
/* A reader waits for this message. `was_asked`: a job for it was there already. */
void ahead_missed(struct engine *engine, uint32_t epoch, uint32_t uid, bool was_asked);
/* A reader has begun this batch of a run. */
void ahead_fetch(struct engine *engine, uint32_t epoch, uint32_t run, uint32_t batch);
/* One of those just before it was opened lately. */
bool ahead_is_in_order(struct engine *engine, uint32_t epoch, uint32_t uid);
/* A reader had to ask for this message, which is here. */
void ahead_pages(struct engine *engine, uint32_t epoch, uint32_t uid);
/* Of one that is complete. */
void ahead_offer(struct engine *engine, uint32_t epoch, uint32_t uid, uint64_t size);
void ahead_done(struct engine *engine, struct store_job *job, const GError *error);

/* change.c: what was promised of messages, and (upload.c) new ones */
/* Something is pending: it goes after `delay_ms`, or earlier if that was said. */
void change_soon(struct engine *engine, int64_t delay_ms);
/* When change_run() has something to do. */
int64_t change_deadline_ms(const struct engine *engine);
void change_run(struct engine *engine);
void change_done(struct engine *engine, struct store_job *job, const GError *error);
/* There is a connection again: what it tells of the folders comes before what is done in them. */
void change_look_first(struct engine *engine);
/* The folder was refreshed, or could not be. */
void change_looked(struct engine *engine, uint32_t folder);
/* It is gone, by whatever means: what was promised of it cannot be done any more. */
void change_message_gone(struct engine *engine, uint32_t epoch, uint32_t uid);
/* pending.c */
/* Somebody waits. */
bool pending_is_awaited(const struct engine *engine);
/* The same, or there is company enough. */
bool pending_is_urgent(struct engine *engine);
/* Settles what waits for changes that are not pending any more. */
void pending_settle_needs(struct engine *engine);
/* What concerns these folders, this epoch or this spool file (each may be 0) is not done soon: who
 * waits for it hears why, and it stays pending. */
struct trouble {
	uint32_t folder;
	uint32_t target;
	uint32_t epoch;
	uint32_t spool;
};
void pending_give_up(struct engine *engine, const struct trouble *trouble, int error);
/* `tries` before this one. */
bool pending_is_hopeless(const GError *error, unsigned tries);
/* The need names something that is still pending. */
bool pending_has(struct engine *engine, const struct need *need, int *ret_error);
/* The connection is to blame, not what was asked. */
bool change_may_come_again(const GError *error);
int64_t change_pause_ms(unsigned tries);
/* Why `sync` of the folder will fail. */
void pending_note_failure(struct engine *engine, uint32_t folder, int error);
/* The folders that the index knows are bound to what the state has of them. */
void pending_bind(struct engine *engine);
/* All folders are listed: those with changes that wait for them are opened (the cache may have been
 * deleted), and what waits for others waits in vain. */
void pending_find_unbound(struct engine *engine);
void pending_bind_folder(struct engine *engine, uint32_t folder);

struct store_job *change_job(enum store_job_kind kind, GPtrArray *batch);
/* The batch, or one of it, is over. */
void change_settle(struct engine *engine, GPtrArray *batch);
void change_failed(struct engine *engine, const struct store_job *job, const GError *error);
void change_drop(struct engine *engine, struct change *change, const GError *error);
void change_put_off(struct engine *engine, struct change *change, const GError *error);
/* Of a COPY: it is known where the target has it, or that it has it somewhere (0). */
void change_copied(struct engine *engine, struct change *change, uint32_t uid);
/* The epoch of the target at this UIDVALIDITY, or 0. */
uint32_t change_target_epoch(struct engine *engine, const struct change *change,
			     uint64_t uidvalidity);
void change_place(struct engine *engine, const struct change *change, uint32_t epoch, uint32_t uid);
void change_name(struct engine *engine, const struct change *change, uint32_t epoch, uint32_t uid,
		 uint64_t uidvalidity);

/* seek.c: what arrived in a mailbox, of what may have been sent there */
struct seek;
/* For a batch of COPY, whose target is searched. `sure`: they were copied, only their new UIDs are
 * not known. */
void seek_start(struct engine *engine, GPtrArray *batch, bool sure);
void seek_done(struct engine *engine, struct store_job *job, const GError *error);
void seek_free(struct seek **seek);
/* The message of `found` (STORE_FIND) that is the spool file's, or 0. */
uint32_t seek_upload(struct engine *engine, GPtrArray *found);

void upload_run(struct engine *engine);
void upload_done(struct engine *engine, struct store_job *job, const GError *error);

/* folder_op.c */
void operations_take(struct engine *engine, GArray *operations);
void operation_done(struct engine *engine, struct store_job *job, const GError *error);
void operation_free(void *operation);

/* rights.c */
/* What was known at the end of the last mount. */
void rights_init(struct engine *engine);
/* There is a new connection. */
void rights_age(struct engine *engine);
void rights_set(struct engine *engine, uint32_t folder, const struct store_rights *rights);
void rights_forget(struct engine *engine, uint32_t folder);
bool rights_are_known(struct engine *engine, uint32_t folder);
void rights_ask(struct engine *engine, uint32_t folder);
void rights_done(struct engine *engine, const struct store_job *job, const GError *error);
void rights_free(void *rights);
void sizes_ask(struct engine *engine, uint32_t epoch, uint32_t uid);
/* A message came alone, or did not. */
void sizes_body_done(struct engine *engine, const struct store_job *job, const GError *error);
void sizes_done(struct engine *engine, const struct store_job *job, const GError *error);
void sizes_set(struct engine *engine, enum sizes_trust trust);

/* apply.c */
/* Messages are gone from the index: their files, names and the kernel's copies too. */
void apply_remove(struct engine *engine, uint32_t folder, uint32_t epoch,
		  const struct seqset *uids);
/* The message shows up in its folder, or does no more: \Deleted came or went. */
void apply_shifted(struct engine *engine, uint32_t folder, uint32_t epoch, uint32_t uid);
/* A refresh that began at `began` has ended, and told of flags or did not: what was settled by then
 * shows over the index no more. */
void apply_bared(struct engine *engine, uint32_t folder, uint32_t epoch, uint64_t began,
		 bool flags);
extern const struct store_sink engine_sink;
void apply_done(struct engine *engine, struct store_job *job, const GError *error);

/* news.c: what is told to people; collected during a turn like the reports */
void news_init(struct engine *engine);
void news_clear(struct engine *engine);
/* NEWS_NEW, NEWS_FLAGS. Not of what is \Deleted. */
void news_message(struct engine *engine, enum engine_news_kind kind, uint32_t folder,
		  uint32_t epoch, uint32_t uid);
/* What shows of these flags. */
unsigned news_shown_flags(struct engine *engine, uint32_t epoch, uint32_t uid, unsigned flags,
			  bool *ret_gone);
/* \Deleted came or went. */
void news_shifted(struct engine *engine, uint32_t folder, uint32_t epoch, uint32_t uid,
		  bool deleted);
/* It is about to go from the index. */
void news_gone(struct engine *engine, uint32_t folder, uint32_t epoch, uint32_t uid,
	       const char *label, const char *chosen);
void news_failed(struct engine *engine, uint32_t folder, uint32_t epoch, uint32_t uid,
		 const char *why);
void news_folder_gone(struct engine *engine, const struct folder_row *row, bool own);
/* `row`: as it was. */
void news_folder_moved(struct engine *engine, const struct folder_row *row);
void news_many(struct engine *engine, uint32_t folder);
/* A refresh of the folder, or a listing of folders (INDEX_ROOT), has ended. */
void news_refreshed(struct engine *engine, uint32_t folder);
void news_state(struct engine *engine, bool online);
void news_tell(struct engine *engine);

/* report.c */
GArray *report_array_new(void);
void report_settled(struct engine *engine, const struct need *need, int error);
void report_message_gone(struct engine *engine, uint32_t folder, uint32_t epoch, uint32_t uid,
			 const char *label, const char *token, const char *chosen);
void report_body_ahead(struct engine *engine, uint32_t epoch, uint32_t uid, uint64_t size);
void report_message_changed(struct engine *engine, uint32_t epoch, uint32_t uid);
void report_name_changed(struct engine *engine, uint32_t folder, const char *name);
void report_folder_gone(struct engine *engine, const struct folder_row *row);
void report_epoch_gone(struct engine *engine, uint32_t folder, uint32_t epoch);
void report_touched(struct engine *engine, uint32_t folder);
/* Commits and tells. */
void report_all(struct engine *engine);
/* Commits what was told so far, for the engine's own view. */
void report_commit(struct engine *engine);
void report_clear(struct engine *engine);
