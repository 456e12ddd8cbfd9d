/* What GNU SASL computes: SCRAM (RFC 5802, 7677), CRAM-MD5 (RFC 2195) and GSSAPI (RFC 4752). It is
 * handed only what was looked at. */
#include "protocol/sasl_private.h"

#include <gsasl.h>
#include <pthread.h>
#include <string.h>

struct sasl_gsasl {
	Gsasl *context;
	Gsasl_session *session;
	char *nonce; /* of ours, for SCRAM */
};

/* Libraries below this one set themselves up when it does, and not all of them with care. */
static pthread_mutex_t setup_lock = PTHREAD_MUTEX_INITIALIZER;

static bool failed(struct sasl *sasl, int code, GError **error)
{
	const char *name = sasl_name(sasl);

	if (code == GSASL_SASLPREP_ERROR)
		g_set_error(
			error, MAILFS_ERROR, ERROR_AUTH,
			"the user name or the password holds characters that %s does not allow; "
			"auth=plain does without it",
			name);
	else if (sasl->mechanism == AUTH_GSSAPI)
		g_set_error(error, MAILFS_ERROR, ERROR_AUTH,
			    "the login by GSSAPI fails, is there a ticket (klist, kinit)? (%s)",
			    gsasl_strerror_name(code));
	else if (code == GSASL_AUTHENTICATION_ERROR && sasl->step > 1)
		g_set_error(error, MAILFS_ERROR, ERROR_AUTH,
			    "the server does not prove by %s that it knows the password", name);
	else
		g_set_error(error, MAILFS_ERROR, ERROR_PROTOCOL, "the login by %s fails (%s)", name,
			    gsasl_strerror_name(code));
	return false;
}

static bool prepares(const char *text)
{
	char *prepared = NULL;
	bool ok = gsasl_saslprep(text, 0, &prepared, NULL) == GSASL_OK;

	if (prepared)
		explicit_bzero(prepared, strlen(prepared));
	gsasl_free(prepared);
	return ok;
}

bool sasl_gsasl_prepares(const struct sasl_login *login)
{
	return prepares(login->user) && prepares(login->password);
}

static void set_properties(struct sasl *sasl, Gsasl_session *session)
{
	const struct sasl_login *login = sasl->login;

	if (sasl->mechanism == AUTH_GSSAPI) {
		gsasl_property_set(session, GSASL_SERVICE, sasl->service);
		gsasl_property_set(session, GSASL_HOSTNAME, login->host ? login->host : "");
		gsasl_property_set(session, GSASL_AUTHZID, login->user);
		return;
	}
	gsasl_property_set(session, GSASL_AUTHID, login->user);
	gsasl_property_set(session, GSASL_PASSWORD, login->password);
	/* To be given one and not to use it is an error for this library. */
	if (sasl->mechanism == AUTH_SCRAM_SHA_256_PLUS ||
	    sasl->mechanism == AUTH_SCRAM_SHA_1_PLUS) {
		g_autofree char *binding =
			g_base64_encode(login->binding.bytes, sizeof(login->binding.bytes));

		gsasl_property_set(session, GSASL_CB_TLS_EXPORTER, binding);
	}
}

static int start(struct sasl_gsasl *gsasl, const char *name)
{
	int code;

	pthread_mutex_lock(&setup_lock);
	code = gsasl_init(&gsasl->context);
	if (code == GSASL_OK)
		code = gsasl_client_start(gsasl->context, name, &gsasl->session);
	pthread_mutex_unlock(&setup_lock);
	return code;
}

static bool begin(struct sasl *sasl, GError **error)
{
	int code;

	if (sasl->gsasl)
		return true;
	sasl->gsasl = g_new0(struct sasl_gsasl, 1);
	code = start(sasl->gsasl, sasl_name(sasl));
	if (code == GSASL_UNKNOWN_MECHANISM) {
		g_set_error(error, MAILFS_ERROR, ERROR_AUTH,
			    "%s is not part of the GNU SASL of this machine", sasl_name(sasl));
		return false;
	}
	if (code != GSASL_OK)
		return failed(sasl, code, error);
	set_properties(sasl, sasl->gsasl->session);
	return true;
}

static void property_wipe(Gsasl_session *session, Gsasl_property property)
{
	/* Memory of the library, which frees it as it is. */
	char *text = (char *)gsasl_property_fast(session, property);

	if (text)
		explicit_bzero(text, strlen(text));
}

void sasl_gsasl_free(struct sasl_gsasl **gsasl)
{
	struct sasl_gsasl *gone = g_steal_pointer(gsasl);

	if (!gone)
		return;
	if (gone->session) {
		property_wipe(gone->session, GSASL_PASSWORD);
		property_wipe(gone->session, GSASL_SCRAM_SALTED_PASSWORD);
		gsasl_finish(gone->session);
	}
	if (gone->context)
		gsasl_done(gone->context);
	g_free(gone->nonce);
	g_free(gone);
}

/* The library's answer; `*ret_done`: it has no more to come. */
static bool compute(struct sasl *sasl, const struct sasl_message *challenge,
		    struct sasl_message *out, bool *ret_done, GError **error)
{
	char *bytes = NULL;
	size_t len = 0;
	int code = gsasl_step(sasl->gsasl->session, challenge->bytes, challenge->len, &bytes, &len);

	if (code != GSASL_OK && code != GSASL_NEEDS_MORE)
		return failed(sasl, code, error);
	sasl_message_set(out, bytes ? bytes : "", len);
	if (bytes)
		explicit_bzero(bytes, len);
	gsasl_free(bytes);
	*ret_done = code == GSASL_OK;
	return true;
}

/* ---- SCRAM ---- */

static bool scram_first(struct sasl *sasl, const struct sasl_message *challenge,
			struct sasl_message *out, GError **error)
{
	bool done;

	/* The library would find out after the server's answer, and lose memory over it. */
	if (!sasl_gsasl_prepares(sasl->login))
		return failed(sasl, GSASL_SASLPREP_ERROR, error);
	if (!begin(sasl, error) || !compute(sasl, challenge, out, &done, error))
		return false;
	sasl->gsasl->nonce = sasl_scram_nonce(out->bytes);
	return true;
}

/* Its proof, or why it has none for us. */
static bool scram_last(struct sasl *sasl, const struct sasl_message *challenge,
		       struct sasl_message *out, GError **error)
{
	bool done;

	if (sasl_scram_is_error(challenge->bytes, challenge->len)) {
		sasl_set_reason(sasl, challenge->bytes + 2, challenge->len - 2);
		sasl->stage = SASL_REFUSED;
		sasl_message_set(out, "", 0);
		return true;
	}
	if (!compute(sasl, challenge, out, &done, error))
		return false;
	if (done)
		sasl->stage = SASL_PROVEN;
	return done || sasl_asks_too_much(error);
}

static bool scram_step(struct sasl *sasl, const struct sasl_message *challenge,
		       struct sasl_message *out, GError **error)
{
	bool done;

	switch (sasl->step) {
	case 1:
		return scram_first(sasl, challenge, out, error);
	case 2:
		return sasl_scram_check_first(challenge->bytes, challenge->len, sasl->gsasl->nonce,
					      error) &&
		       compute(sasl, challenge, out, &done, error);
	case 3:
		return scram_last(sasl, challenge, out, error);
	default:
		return sasl_asks_too_much(error);
	}
}

/* ---- CRAM-MD5 ---- */

static bool cram_step(struct sasl *sasl, const struct sasl_message *challenge,
		      struct sasl_message *out, GError **error)
{
	bool done;

	if (sasl->step > 1)
		return sasl_asks_too_much(error);
	/* For the library it were the question for our first message. */
	if (challenge->len == 0) {
		g_set_error(error, MAILFS_ERROR, ERROR_PROTOCOL,
			    "the server's challenge for CRAM-MD5 is empty");
		return false;
	}
	if (!begin(sasl, error) || !compute(sasl, challenge, out, &done, error))
		return false;
	if (done)
		sasl->stage = SASL_PROVEN;
	return true;
}

/* ---- GSSAPI ---- */

static bool gssapi_step(struct sasl *sasl, const struct sasl_message *challenge,
			struct sasl_message *out, GError **error)
{
	bool done;

	if (sasl->stage == SASL_PROVEN)
		return sasl_asks_too_much(error);
	if (!begin(sasl, error) || !compute(sasl, challenge, out, &done, error))
		return false;
	if (done)
		sasl->stage = SASL_PROVEN;
	return true;
}

const struct sasl_mechanism *sasl_gsasl(enum auth_mechanism mechanism)
{
	static const struct sasl_mechanism scram = {true, false, scram_step};
	static const struct sasl_mechanism cram = {false, false, cram_step};
	static const struct sasl_mechanism gssapi = {true, false, gssapi_step};

	switch (mechanism) {
	case AUTH_CRAM_MD5:
		return &cram;
	case AUTH_GSSAPI:
		return &gssapi;
	default:
		return &scram;
	}
}
