#include "config/credentials.h"

#include "base/error.h"
#include "base/log.h"
#include "config/auth.h"
#include "config/keeper.h"

#include <pthread.h>
#include <string.h>

/* A secret, and who has it in hand. */
struct held {
	struct secret *secret;
	unsigned refs;
	bool taken;	     /* by a server */
	unsigned refused_by; /* bits of enum credentials_side */
};

enum part_state {
	PART_UNNEEDED,
	PART_WANTED, /* to be found; meanwhile `held` is of no use */
	PART_FOUND,  /* `held` NULL: of submission, that it is the account's */
	PART_FAILED, /* as `error` says */
};

/* In the order in which they are found. */
enum part_name { PART_SMTP_PASSWORD, PART_PASSWORD, PART_TOKEN, PARTS };

/* What is found at one time. */
struct part {
	enum part_state state;
	struct held *held;
	GError *error;
	bool told;	/* `error`, to somebody */
	bool typed;	/* by a person */
	unsigned order; /* of the latest wish to have it found */
};

struct side {
	void (*wake)(void *data);
	void *data;
	unsigned untaken;   /* logins under way with what nobody has taken yet */
	bool token_renewed; /* because this server refused one, and has taken none since */
	unsigned below;	    /* enum auth_mechanism: it has taken better */
	GError *stopped;
};

struct credentials {
	const struct account *account;
	struct keeper *keeper; /* NULL: secrets are found here */
	atomic_bool cancelled;
	pthread_mutex_t lock; /* guards what follows */
	struct part parts[PARTS];
	struct side sides[CREDENTIALS_SUBMISSION + 1];
	pthread_t finder;
	bool finder_started; /* it is to be joined */
	bool finding;
	bool reload;	  /* the configuration file is to be read again, before anything is found */
	char *file_error; /* what was wrong with it; NULL: nothing */
};

struct attempt {
	struct credential credential; /* the first: it is what others see */
	struct held *password, *token;
	bool untaken;
};

/* ---- Held secrets ---- */

static struct held *held_ref(struct held *held)
{
	if (held)
		held->refs++;
	return held;
}

static void held_unref(struct held **ret_held)
{
	struct held *held = g_steal_pointer(ret_held);

	if (!held || --held->refs > 0)
		return;
	secret_free(&held->secret);
	g_free(held);
}

static struct held *held_new(struct secret *secret)
{
	struct held *held = g_new0(struct held, 1);

	held->secret = secret;
	held->refs = 1;
	return held;
}

/* ---- Finding ---- */

static void wake_all_locked(struct credentials *credentials)
{
	for (size_t i = 0; i < G_N_ELEMENTS(credentials->sides); i++) {
		struct side *side = &credentials->sides[i];

		if (side->wake)
			side->wake(side->data);
	}
}

static void part_want_locked(struct part *part)
{
	part->state = PART_WANTED;
	part->order++;
}

static bool part_look(const struct credentials *credentials, enum part_name name,
		      const atomic_bool *cancelled, struct secret **ret_secret, GError **error)
{
	static const enum keeper_secret secrets[] = {
		[PART_SMTP_PASSWORD] = KEEPER_SMTP_PASSWORD,
		[PART_PASSWORD] = KEEPER_PASSWORD,
		[PART_TOKEN] = KEEPER_TOKEN,
	};

	if (credentials->keeper)
		return keeper_find(credentials->keeper, secrets[name], cancelled, ret_secret,
				   error);
	return keeper_look(credentials->account, secrets[name], cancelled, ret_secret, error);
}

static bool set_missing(const struct account *account, GError **error)
{
	g_set_error(error, MAILFS_ERROR, ERROR_CONFIG,
		    "no password for %s: give password_command or password_file, or add it to "
		    "~/.netrc",
		    account->name);
	return false;
}

/* A command may fail today that did not when it was run for the same secret. */
static bool is_still_good(const struct held *held)
{
	return held && held->taken && !held->refused_by;
}

/* `secret` and `error` are taken over. */
static void part_settle_locked(struct credentials *credentials, enum part_name name,
			       struct secret *secret, GError *error)
{
	struct part *part = &credentials->parts[name];
	struct part *last_resort = &credentials->parts[PART_PASSWORD];

	part->told = false;
	g_clear_error(&part->error);
	part->state = PART_FOUND;
	if (error && is_still_good(part->held)) {
		/* Of a file that cannot be read that was said. */
		if (g_strcmp0(error->message, credentials->file_error) != 0)
			log_warning("%s: %s: what was found before is used",
				    credentials->account->name, error->message);
		g_error_free(error);
		return;
	}
	held_unref(&part->held);
	part->held = secret ? held_new(secret) : NULL;
	part->error = error;
	if (error)
		part->state = PART_FAILED;
	else if (!secret && last_resort->state == PART_UNNEEDED)
		part_want_locked(last_resort);
}

static int next_wanted(const struct credentials *credentials)
{
	for (int i = 0; i < PARTS; i++) {
		if (credentials->parts[i].state == PART_WANTED)
			return i;
	}
	return -1;
}

/* Whoever renews meanwhile gets what is there then. */
static void find_one_locked(struct credentials *credentials, enum part_name name)
{
	struct part *part = &credentials->parts[name];
	unsigned order = part->order;
	struct secret *secret = NULL;
	GError *error = NULL;

	pthread_mutex_unlock(&credentials->lock);
	if (part_look(credentials, name, &credentials->cancelled, &secret, &error) && !secret &&
	    name == PART_PASSWORD)
		set_missing(credentials->account, &error);
	pthread_mutex_lock(&credentials->lock);
	/* What ended because it was cancelled is no news. */
	if (order == part->order && !atomic_load(&credentials->cancelled)) {
		part_settle_locked(credentials, name, secret, error);
		wake_all_locked(credentials);
		return;
	}
	secret_free(&secret);
	g_clear_error(&error);
}

static void tell_reload(const struct credentials *credentials, const char *text, const char *why)
{
	const char *name = credentials->account->name;

	if (why)
		log_error("%s: %s; the settings stay as they were", name, why);
	else if (text)
		log_info("%s: %s", name, text);
}

static void reload_locked(struct credentials *credentials)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	credentials->reload = false;
	pthread_mutex_unlock(&credentials->lock);
	keeper_reload(credentials->keeper, &credentials->cancelled, &text, &error);
	pthread_mutex_lock(&credentials->lock);
	g_clear_pointer(&credentials->file_error, g_free);
	if (error)
		credentials->file_error = g_strdup(error->message);
	if (!atomic_load(&credentials->cancelled))
		tell_reload(credentials, text, credentials->file_error);
}

static void *finder_run(void *data)
{
	struct credentials *credentials = data;
	int name;

	pthread_mutex_lock(&credentials->lock);
	while (!atomic_load(&credentials->cancelled)) {
		if (credentials->reload)
			reload_locked(credentials);
		else if ((name = next_wanted(credentials)) >= 0)
			find_one_locked(credentials, name);
		else
			break;
	}
	credentials->finding = false;
	pthread_mutex_unlock(&credentials->lock);
	return NULL;
}

static void finder_start_locked(struct credentials *credentials)
{
	if (credentials->finding || atomic_load(&credentials->cancelled))
		return;
	/* It needs the lock no more. */
	if (credentials->finder_started)
		pthread_join(credentials->finder, NULL);
	credentials->finder_started =
		pthread_create(&credentials->finder, NULL, finder_run, credentials) == 0;
	credentials->finding = credentials->finder_started;
	if (!credentials->finder_started)
		g_error("cannot start a thread");
}

static bool find_now(struct credentials *credentials, enum part_name name, bool may_ask,
		     GError **error)
{
	struct part *part = &credentials->parts[name];
	struct secret *secret = NULL;

	if (!part_look(credentials, name, NULL, &secret, error))
		return false;
	part->typed = !secret && name == PART_PASSWORD && may_ask;
	if (part->typed)
		secret = secret_ask(credentials->account, error);
	else if (!secret && name == PART_PASSWORD)
		set_missing(credentials->account, error);
	if (!secret && name == PART_PASSWORD)
		return false;
	part_settle_locked(credentials, name, secret, NULL);
	return true;
}

bool credentials_find(struct credentials *credentials, bool may_ask, bool with_token,
		      GError **error)
{
	for (int i = 0; i < PARTS; i++) {
		bool wanted = credentials->parts[i].state == PART_WANTED;

		if (wanted && (i != PART_TOKEN || with_token) &&
		    !find_now(credentials, i, may_ask, error))
			return false;
	}
	return true;
}

/* ---- Logins ---- */

static struct held *password_of(const struct credentials *credentials, enum credentials_side side)
{
	const struct part *parts = credentials->parts;

	if (side == CREDENTIALS_MAILBOX)
		return account_needs_password(credentials->account) ? parts[PART_PASSWORD].held
								    : NULL;
	if (parts[PART_SMTP_PASSWORD].state == PART_UNNEEDED)
		return NULL;
	return parts[PART_SMTP_PASSWORD].held ? parts[PART_SMTP_PASSWORD].held
					      : parts[PART_PASSWORD].held;
}

static struct held *token_of(const struct credentials *credentials, enum credentials_side side)
{
	if (side == CREDENTIALS_SUBMISSION && !submission_uses_token(credentials->account))
		return NULL;
	return credentials->parts[PART_TOKEN].held;
}

static bool side_needs(const struct credentials *credentials, enum credentials_side side,
		       enum part_name name)
{
	const struct account *account = credentials->account;
	const struct part *smtp = &credentials->parts[PART_SMTP_PASSWORD];

	if (credentials->parts[name].state == PART_UNNEEDED)
		return false;
	switch (name) {
	case PART_PASSWORD:
		return side == CREDENTIALS_MAILBOX ? account_needs_password(account)
						   : smtp->state == PART_FOUND && !smtp->held;
	case PART_SMTP_PASSWORD:
		return side == CREDENTIALS_SUBMISSION;
	default:
		return side == CREDENTIALS_MAILBOX || submission_uses_token(account);
	}
}

/* A command that gets tokens from the net may do better later; who keeps passwords is to be told to
 * try again. */
static enum credentials_answer part_failed_locked(struct credentials *credentials,
						  enum part_name name, GError **error)
{
	struct part *part = &credentials->parts[name];

	if (name == PART_TOKEN && part->told) {
		part_want_locked(part);
		finder_start_locked(credentials);
		return CREDENTIALS_WAIT;
	}
	part->told = true;
	g_set_error_literal(error, MAILFS_ERROR, name == PART_TOKEN ? ERROR_TEMPORARY : ERROR_AUTH,
			    part->error->message);
	return CREDENTIALS_STOP;
}

static enum credentials_answer parts_check_locked(struct credentials *credentials,
						  enum credentials_side side, GError **error)
{
	for (int i = 0; i < PARTS; i++) {
		const struct part *part = &credentials->parts[i];

		if (!side_needs(credentials, side, i))
			continue;
		if (part->state == PART_WANTED) {
			finder_start_locked(credentials);
			return CREDENTIALS_WAIT;
		}
		if (part->state == PART_FAILED)
			return part_failed_locked(credentials, i, error);
	}
	return CREDENTIALS_GO;
}

static bool is_untaken(const struct held *held)
{
	return held && !held->taken;
}

static bool is_tried(const struct credentials *credentials)
{
	return credentials->sides[CREDENTIALS_MAILBOX].untaken > 0 ||
	       credentials->sides[CREDENTIALS_SUBMISSION].untaken > 0;
}

static enum credentials_answer begin_locked(struct credentials *credentials,
					    enum credentials_side name, struct attempt *attempt,
					    GError **error)
{
	struct side *side = &credentials->sides[name];
	enum credentials_answer answer = CREDENTIALS_STOP;
	struct held *password, *token;

	if (side->stopped)
		g_propagate_error(error, g_error_copy(side->stopped));
	else
		answer = parts_check_locked(credentials, name, error);
	if (answer != CREDENTIALS_GO)
		return answer;
	password = password_of(credentials, name);
	token = token_of(credentials, name);
	if (is_untaken(password) && password->refused_by & 1u << CREDENTIALS_MAILBOX) {
		g_set_error(error, MAILFS_ERROR, ERROR_AUTH, "%s refused the same password",
			    credentials->account->host);
		return CREDENTIALS_STOP;
	}
	attempt->untaken = is_untaken(password) || is_untaken(token);
	if (attempt->untaken && is_tried(credentials))
		return CREDENTIALS_WAIT;
	side->untaken += attempt->untaken;
	attempt->password = held_ref(password);
	attempt->token = held_ref(token);
	attempt->credential = (struct credential){.password = password ? password->secret : NULL,
						  .token = token ? token->secret : NULL,
						  .below = side->below};
	return CREDENTIALS_GO;
}

enum credentials_answer credentials_begin(struct credentials *credentials,
					  enum credentials_side side, const struct credential **ret,
					  GError **error)
{
	struct attempt *attempt;
	enum credentials_answer answer;

	*ret = NULL;
	if (!credentials)
		return CREDENTIALS_GO;
	attempt = g_new0(struct attempt, 1);
	pthread_mutex_lock(&credentials->lock);
	answer = begin_locked(credentials, side, attempt, error);
	pthread_mutex_unlock(&credentials->lock);
	if (answer == CREDENTIALS_GO)
		*ret = &attempt->credential;
	else
		g_free(attempt);
	return answer;
}

static void taken_locked(struct side *side, const struct attempt *attempt)
{
	side->token_renewed = false;
	if (attempt->password)
		attempt->password->taken = true;
	if (attempt->token)
		attempt->token->taken = true;
}

/* True: another one is there or on its way. Several logins may be refused the same one. */
static bool token_renew_locked(struct credentials *credentials, struct side *side,
			       const struct attempt *attempt)
{
	struct part *part = &credentials->parts[PART_TOKEN];
	bool is_found = part->state == PART_FOUND;
	bool is_latest = is_found && part->held == attempt->token;

	if (!attempt->token || (is_latest && side->token_renewed))
		return false;
	if (is_latest || !is_found || is_untaken(part->held))
		side->token_renewed = true;
	if (is_latest)
		part_want_locked(part);
	return true;
}

/* False: another one was wished for while this login was under way. */
static bool is_current(const struct credentials *credentials, enum credentials_side side,
		       const struct held *password)
{
	for (int i = 0; i < PARTS; i++) {
		if (side_needs(credentials, side, i) && credentials->parts[i].state != PART_FOUND)
			return false;
	}
	return password_of(credentials, side) == password;
}

/* True: it may go on with another one. */
static bool refused_locked(struct credentials *credentials, enum credentials_side name,
			   const struct attempt *attempt, const GError *error)
{
	struct side *side = &credentials->sides[name];

	if (attempt->password)
		attempt->password->refused_by |= 1u << name;
	if (attempt->token)
		attempt->token->refused_by |= 1u << name;
	if (token_renew_locked(credentials, side, attempt))
		return true;
	if (attempt->password && !is_current(credentials, name, attempt->password))
		return true;
	g_clear_error(&side->stopped);
	side->stopped = g_error_copy(error);
	return false;
}

static bool end(struct credentials *credentials, enum credentials_side name, bool beside,
		const struct credential **credential, const GError *error)
{
	struct attempt *attempt = (struct attempt *)g_steal_pointer(credential);
	struct side *side;
	bool again = false;

	if (!attempt)
		return false;
	side = &credentials->sides[name];
	pthread_mutex_lock(&credentials->lock);
	if (!error)
		taken_locked(side, attempt);
	else if (g_error_matches(error, MAILFS_ERROR, ERROR_AUTH))
		again = beside ? token_renew_locked(credentials, side, attempt)
			       : refused_locked(credentials, name, attempt, error);
	side->untaken -= attempt->untaken;
	if (attempt->untaken)
		wake_all_locked(credentials);
	held_unref(&attempt->password);
	held_unref(&attempt->token);
	pthread_mutex_unlock(&credentials->lock);
	g_free(attempt);
	return again;
}

bool credentials_end(struct credentials *credentials, enum credentials_side side,
		     const struct credential **credential, const GError *error)
{
	return end(credentials, side, false, credential, error);
}

bool credentials_end_beside(struct credentials *credentials, enum credentials_side side,
			    const struct credential **credential, const GError *error)
{
	return end(credentials, side, true, credential, error);
}

void credentials_taken(struct credentials *credentials, enum credentials_side side,
		       const struct credential **credential, const char *mechanism)
{
	if (credentials && mechanism) {
		pthread_mutex_lock(&credentials->lock);
		credentials->sides[side].below |=
			auth_below(auth_find(mechanism, strlen(mechanism)));
		pthread_mutex_unlock(&credentials->lock);
	}
	credentials_end(credentials, side, credential, NULL);
}

/* What a person typed cannot be had again without him: it is what there is. */
static void part_renew_locked(struct part *part)
{
	if (part->state == PART_UNNEEDED)
		return;
	if (!part->typed)
		part_want_locked(part);
	else if (part->held)
		part->held->refused_by = 0;
}

void credentials_renew(struct credentials *credentials)
{
	if (!credentials)
		return;
	pthread_mutex_lock(&credentials->lock);
	for (int i = 0; i < PARTS; i++)
		part_renew_locked(&credentials->parts[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(credentials->sides); i++) {
		credentials->sides[i].token_renewed = false;
		g_clear_error(&credentials->sides[i].stopped);
	}
	credentials->reload = credentials->keeper && credentials->account->config;
	if (credentials->reload)
		finder_start_locked(credentials);
	wake_all_locked(credentials);
	pthread_mutex_unlock(&credentials->lock);
}

/* ---- Life ---- */

void credentials_watch(struct credentials *credentials, enum credentials_side side,
		       void (*wake)(void *data), void *data)
{
	if (!credentials)
		return;
	pthread_mutex_lock(&credentials->lock);
	credentials->sides[side].wake = wake;
	credentials->sides[side].data = data;
	pthread_mutex_unlock(&credentials->lock);
}

struct credentials *credentials_new(const struct account *account)
{
	struct credentials *credentials = g_new0(struct credentials, 1);
	const bool needed[PARTS] = {
		[PART_SMTP_PASSWORD] = submission_needs_password(account),
		[PART_PASSWORD] = account_needs_password(account),
		[PART_TOKEN] = account->token_command != NULL,
	};

	credentials->account = account;
	pthread_mutex_init(&credentials->lock, NULL);
	for (int i = 0; i < PARTS; i++)
		credentials->parts[i].state = needed[i] ? PART_WANTED : PART_UNNEEDED;
	return credentials;
}

void credentials_use(struct credentials *credentials, struct keeper *keeper)
{
	credentials->keeper = keeper;
}

void credentials_free(struct credentials **ret_credentials)
{
	struct credentials *credentials = *ret_credentials;

	if (!credentials)
		return;
	atomic_store(&credentials->cancelled, true);
	if (credentials->finder_started)
		pthread_join(credentials->finder, NULL);
	for (int i = 0; i < PARTS; i++) {
		held_unref(&credentials->parts[i].held);
		g_clear_error(&credentials->parts[i].error);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(credentials->sides); i++)
		g_clear_error(&credentials->sides[i].stopped);
	g_free(credentials->file_error);
	pthread_mutex_destroy(&credentials->lock);
	g_clear_pointer(ret_credentials, g_free);
}
