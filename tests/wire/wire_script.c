#include "wire_script.h"

#include "base/number.h"

#include <string.h>

static void step_free(void *data)
{
	struct wire_step *step = data;

	g_string_free(step->bytes, TRUE);
	g_free(step);
}

/* "{text*n}" */
static const char *unescape_repeat(const char *text, GString *out)
{
	const char *end = strchr(text, '}');
	const char *star = end ? g_strrstr_len(text, end - text, "*") : NULL;
	uint32_t times;

	if (!star || !number_parse_u32(star + 1, (size_t)(end - star - 1), &times))
		return NULL;
	while (times-- > 0)
		g_string_append_len(out, text + 1, star - text - 1);
	return end + 1;
}

static const char *unescape_hex(const char *text, GString *out)
{
	int high = g_ascii_xdigit_value(text[0]);
	int low = high < 0 ? -1 : g_ascii_xdigit_value(text[1]);

	if (low < 0)
		return NULL;
	g_string_append_c(out, (char)(high * 16 + low));
	return text + 2;
}

static const char *unescape_one(const char *text, GString *out)
{
	static const char from[] = "rnt0\\\"";
	static const char to[] = "\r\n\t\0\\\"";
	const char *found;

	if (*text == '{')
		return unescape_repeat(text, out);
	if (*text == 'x')
		return unescape_hex(text + 1, out);
	if (*text == 'v') {
		g_string_append(out, MAILFS_VERSION);
		return text + 1;
	}
	found = *text ? strchr(from, *text) : NULL;
	if (!found)
		return NULL;
	g_string_append_c(out, to[found - from]);
	return text + 1;
}

const char *wire_unescape(const char *text, bool quoted, GString *out)
{
	while (text && *text && !(quoted && *text == '"')) {
		if (*text == '\\')
			text = unescape_one(text + 1, out);
		else
			g_string_append_c(out, *text++);
	}
	if (!text || !quoted)
		return text;
	return *text == '"' ? text + 1 : NULL;
}

static bool step_parse(const char *line, struct wire_step *step)
{
	step->kind = line[0] == 'S' ? WIRE_SERVER : WIRE_CLIENT;
	if ((line[0] != 'S' && line[0] != 'C') || (line[1] != ':' && line[1] != '-'))
		return false;
	if (line[2] != '\0' && line[2] != ' ')
		return false;
	if (!wire_unescape(line[2] ? line + 3 : "", false, step->bytes))
		return false;
	if (line[1] == ':')
		g_string_append(step->bytes, "\r\n");
	return true;
}

GPtrArray *wire_script_load(const char *path)
{
	GPtrArray *steps = g_ptr_array_new_with_free_func(step_free);
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		g_error("%s: cannot be read", path);
	lines = g_strsplit(text, "\n", -1);
	for (unsigned i = 0; lines[i]; i++) {
		struct wire_step *step;

		if (lines[i][0] == '\0' || lines[i][0] == '#')
			continue;
		step = g_new0(struct wire_step, 1);
		step->line = i + 1;
		step->bytes = g_string_new(NULL);
		g_ptr_array_add(steps, step);
		if (g_str_has_prefix(lines[i], "! ")) {
			step->kind = WIRE_DIRECTIVE;
			g_string_append(step->bytes, lines[i] + 2);
		} else if (!step_parse(lines[i], step)) {
			g_error("%s:%u: not a step: %s", path, i + 1, lines[i]);
		}
	}
	return steps;
}
