#include "protocol/smtp_data.h"

#include <string.h>

/* The caller has left room: a text that lacks some bytes must never be sent. */
static void put(struct buf *out, const void *bytes, size_t len)
{
	bool fits = buf_append(out, bytes, len);

	g_assert(fits);
}

static size_t line_end(struct smtp_data *data, uint8_t byte, struct buf *out)
{
	bool ended_already = data->cr && byte == '\n';

	if (!ended_already)
		put(out, "\r\n", 2);
	data->cr = byte == '\r';
	data->in_line = false;
	return 1;
}

/* Up to the next line end. */
static size_t line_part(struct smtp_data *data, const uint8_t *bytes, size_t len, struct buf *out)
{
	size_t part = 0;

	while (part < len && bytes[part] != '\r' && bytes[part] != '\n')
		part++;
	if (!data->in_line && bytes[0] == '.')
		put(out, ".", 1);
	put(out, bytes, part);
	data->cr = false;
	data->in_line = true;
	return part;
}

void smtp_data_encode(struct smtp_data *data, const uint8_t *bytes, size_t len, struct buf *out)
{
	while (len > 0) {
		bool is_end = bytes[0] == '\r' || bytes[0] == '\n';
		size_t used =
			is_end ? line_end(data, bytes[0], out) : line_part(data, bytes, len, out);

		bytes += used;
		len -= used;
	}
}

void smtp_data_end(struct smtp_data *data, struct buf *out)
{
	if (data->in_line)
		put(out, "\r\n", 2);
	*data = (struct smtp_data){0};
}
