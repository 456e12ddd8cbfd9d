#include "store/login.h"

struct sasl_binding store_binding(const struct link *link)
{
	struct sasl_binding binding = {0};

	binding.known = link_binding(link, binding.bytes);
	return binding;
}

struct sasl_login store_login(const struct account *account, const struct credential *credential,
			      const struct link *link)
{
	const struct secret *password = credential ? credential->password : NULL;
	const struct secret *token = credential ? credential->token : NULL;

	return (struct sasl_login){
		.user = account->user,
		.password = password ? secret_text(password) : NULL,
		.token = token ? secret_text(token) : NULL,
		.host = account->host,
		.port = account->port,
		.allowed = account->auth,
		.below = credential ? credential->below : 0,
		.certificate = account->tls_cert != NULL,
		.binding = store_binding(link),
	};
}
