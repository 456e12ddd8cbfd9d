#include "base/header.h"

#include <glib.h>
#include <string.h>

void header_init(struct header *header, const char *bytes, size_t len)
{
	*header = (struct header){.bytes = bytes, .len = len, .line = 1};
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_line_end(char c)
{
	return c == '\r' || c == '\n';
}

/* Moves over a line; gives where its end begins. */
static size_t line_next(struct header *header)
{
	size_t end = header->at;

	while (end < header->len && !is_line_end(header->bytes[end]))
		end++;
	header->at = end;
	if (end < header->len && header->bytes[end] == '\r')
		header->at++;
	if (header->at < header->len && header->bytes[header->at] == '\n')
		header->at++;
	header->line++;
	return end;
}

/* The length of the name that a field begins with; 0: it does not. */
static size_t name_length(const char *bytes, size_t len)
{
	size_t name = 0;
	size_t colon;

	while (name < len && bytes[name] > ' ' && bytes[name] < 0x7f && bytes[name] != ':')
		name++;
	colon = name;
	while (colon < len && is_space(bytes[colon]))
		colon++;
	return colon < len && bytes[colon] == ':' ? name : 0;
}

bool header_next(struct header *header, struct header_field *ret)
{
	struct header_field field = {.offset = header->at, .line = header->line};
	const char *start;
	size_t end;

	if (header->at >= header->len || is_line_end(header->bytes[header->at]))
		return false;
	start = header->bytes + header->at;
	end = line_next(header);
	field.name_len = name_length(start, end - field.offset);
	while (header->at < header->len && is_space(header->bytes[header->at]))
		end = line_next(header);
	field.len = header->at - field.offset;
	if (field.name_len > 0) {
		field.name = start;
		field.value = (const char *)memchr(start, ':', field.len) + 1;
		field.value_len = (size_t)(header->bytes + end - field.value);
	}
	*ret = field;
	return true;
}

bool header_field_is(const struct header_field *field, const char *name)
{
	return field->name && strlen(name) == field->name_len &&
	       g_ascii_strncasecmp(field->name, name, field->name_len) == 0;
}

char *header_field_text(const struct header_field *field)
{
	GString *text = g_string_sized_new(field->value_len);

	for (size_t i = 0; i < field->value_len; i++) {
		if (!is_line_end(field->value[i]))
			g_string_append_c(text, field->value[i]);
	}
	return g_strstrip(g_string_free(text, FALSE));
}
