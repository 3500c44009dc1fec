/* SPDX-License-Identifier: MIT */
/* Class tables from text and JSON. Every problem is a KERB_ERROR_ASSET with the file, the place in it and what is expected there. */
#include "out/classes.h"

#include "base/memory.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { KERB_CLASSES_MAX_BYTES = 1 << 20 };

/* The length of the character at p, 0 where it is not UTF-8 (RFC 3629: no overlong forms, surrogates or values past U+10FFFF). */
static size_t kerb_utf8_length(const uint8_t *p, const uint8_t *end)
{
    static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : p[0] >= 0xe0 && p[0] < 0xf0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
    if (n == 0 || (size_t)(end - p) < n) return 0;
    if (n == 1) return 1;
    uint32_t value = p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (p[i] & 0x3fu);
    }
    return value < lowest[n] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000) ? 0 : n;
}

/* Why text cannot be a name, or NULL. */
static const char *kerb_name_problem(const char *text, size_t bytes)
{
    const uint8_t *p = (const uint8_t *)text, *end = p + bytes;
    if (!bytes) return "the name is empty";
    if (bytes >= sizeof(((KerbClass *)0)->name)) return "the name is longer than 63 bytes";
    while (p < end) {
        size_t n = kerb_utf8_length(p, end);
        if (!n) return "the name is not UTF-8";
        if (*p < 0x20 || *p == 0x7f) return "the name has a control character";
        p += n;
    }
    return NULL;
}

/* Adds a class whose name has been checked; false: the name is there already, at *twin. */
static bool kerb_classes_add(KerbClassTable *out, const char *name, size_t bytes, const uint8_t rgb[3], int id, int *twin)
{
    KerbClass *c = &out->classes[out->n];
    memset(c, 0, sizeof(*c));
    memcpy(c->name, name, bytes);
    memcpy(c->rgb, rgb, 3);
    c->dataset_id = id;
    c->is_background = !strcasecmp(c->name, "background");
    for (*twin = 0; *twin < out->n; ++*twin)
        if (!strcmp(out->classes[*twin].name, c->name)) return false;
    out->n++;
    return true;
}

/* ----------------------------------------------------------------------------------------------------------- text */

typedef struct KerbToken {
    const char *text;
    size_t bytes;
    bool number; /* an integer that fits */
    long value;
} KerbToken;

enum { KERB_LINE_TOKENS = 64 };

static bool kerb_is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static KerbToken kerb_token(const char *text, size_t bytes)
{
    KerbToken t = { text, bytes, false, 0 };
    size_t i = text[0] == '-' && bytes > 1;
    bool negative = i == 1;
    if (bytes - i > 9) return t;
    for (; i < bytes; i++) {
        if (text[i] < '0' || text[i] > '9') return t;
        t.value = t.value * 10 + (text[i] - '0');
    }
    if (negative) t.value = -t.value;
    t.number = true;
    return t;
}

/* Splits at blanks; a quoted name is one token without its quotes. Returns the number, -1: too many, -2: a quote is not closed. */
static int kerb_tokens(const char *p, const char *end, KerbToken tokens[KERB_LINE_TOKENS], bool *quoted)
{
    int n = 0;
    *quoted = false;
    while (p < end) {
        if (kerb_is_blank(*p)) {
            p++;
            continue;
        }
        if (n == KERB_LINE_TOKENS) return -1;
        const char *begin = p;
        if (n == 0 && *p == '"') {
            begin++;
            const char *close = memchr(begin, '"', (size_t)(end - begin));
            if (!close) return -2;
            tokens[n++] = (KerbToken){ begin, (size_t)(close - begin), false, 0 };
            p = close + 1;
            *quoted = true;
            continue;
        }
        while (p < end && !kerb_is_blank(*p)) p++;
        tokens[n++] = kerb_token(begin, (size_t)(p - begin));
    }
    return n;
}

static KerbStatus kerb_classes_read_line(KerbClassTable *out, const char *line, const char *end, const char *path, int number, int lines[], KerbError *error)
{
    KerbToken t[KERB_LINE_TOKENS];
    bool quoted;
    int n = kerb_tokens(line, end, t, &quoted);
    if (n == -2) return kerb_fail(error, KERB_ERROR_ASSET, "%s:%d: the quote around the name is not closed", path, number);
    if (n < 0) return kerb_fail(error, KERB_ERROR_ASSET, "%s:%d: more than %d words; expected `name r g b`", path, number, KERB_LINE_TOKENS);
    int numbers = 0;
    while (numbers < n && numbers < 4 && t[n - 1 - numbers].number) numbers++;
    if (numbers == n && numbers > 0 && n == 4) numbers = 3; /* a class that is called by a number */
    int words = n - numbers;
    if (numbers < 3 || words < 1 || (quoted && words > 1))
        return kerb_fail(error, KERB_ERROR_ASSET, "%s:%d: expected `name r g b` (0 to 255 each; optionally the data set's id), found %d number%s at the end",
                         path, number, numbers, numbers == 1 ? "" : "s");
    uint8_t rgb[3];
    for (int k = 0; k < 3; k++) {
        long v = t[words + k].value;
        if (v < 0 || v > 255) return kerb_fail(error, KERB_ERROR_ASSET, "%s:%d: the colour value %ld is not in 0..255", path, number, v);
        rgb[k] = (uint8_t)v;
    }
    const char *name = t[0].text;
    size_t bytes = (size_t)(t[words - 1].text + t[words - 1].bytes - name);
    const char *problem = kerb_name_problem(name, bytes);
    if (problem) return kerb_fail(error, KERB_ERROR_ASSET, "%s:%d: %s", path, number, problem);
    if (out->n == KERB_MAX_CLASSES)
        return kerb_fail(error, KERB_ERROR_ASSET, "%s:%d: more than %d classes", path, number, KERB_MAX_CLASSES);
    int twin;
    if (!kerb_classes_add(out, name, bytes, rgb, numbers == 4 ? (int)t[n - 1].value : -1, &twin))
        return kerb_fail(error, KERB_ERROR_ASSET, "%s:%d: the name \"%.*s\" is already in line %d; classes are chosen by name, so give it another", path,
                         number, (int)bytes, name, lines[twin]);
    lines[out->n - 1] = number;
    return KERB_OK;
}

static KerbStatus kerb_classes_read_text(KerbClassTable *out, const char *text, size_t bytes, const char *path, KerbError *error)
{
    int lines[KERB_MAX_CLASSES] = { 0 }, number = 0;
    const char *end = text + bytes;
    for (const char *p = text; p < end;) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *stop = newline ? newline : end, *next = newline ? newline + 1 : end;
        number++;
        while (p < stop && kerb_is_blank(*p)) p++;
        while (stop > p && (kerb_is_blank(stop[-1]) || stop[-1] == '\r')) stop--;
        if (p < stop && *p != '#') {
            if (memchr(p, 0, (size_t)(stop - p)))
                return kerb_fail(error, KERB_ERROR_ASSET, "%s:%d: this is a binary file; expected lines of `name r g b`, or JSON", path, number);
            KerbStatus status = kerb_classes_read_line(out, p, stop, path, number, lines, error);
            if (status != KERB_OK) return status;
        }
        p = next;
    }
    if (!out->n) return kerb_fail(error, KERB_ERROR_ASSET, "%s: no classes in it; expected lines of `name r g b`, or JSON", path);
    return KERB_OK;
}

/* ----------------------------------------------------------------------------------------------------------- JSON */

static int kerb_hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool kerb_json_color(const json_t *color, uint8_t rgb[3])
{
    if (json_is_string(color)) {
        const char *s = json_string_value(color);
        if (s[0] != '#' || json_string_length(color) != 7) return false;
        for (int k = 0; k < 3; k++) {
            int high = kerb_hex_digit(s[1 + 2 * k]), low = kerb_hex_digit(s[2 + 2 * k]);
            if (high < 0 || low < 0) return false;
            rgb[k] = (uint8_t)(high * 16 + low);
        }
        return true;
    }
    if (!json_is_array(color) || json_array_size(color) != 3) return false;
    for (size_t k = 0; k < 3; k++) {
        const json_t *v = json_array_get(color, k);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > 255) return false;
        rgb[k] = (uint8_t)json_integer_value(v);
    }
    return true;
}

static KerbStatus kerb_classes_read_item(KerbClassTable *out, const json_t *item, const char *where, KerbError *error)
{
    int index = out->n;
    if (!json_is_object(item))
        return kerb_fail(error, KERB_ERROR_ASSET, "%s: class %d is not an object; expected {\"name\": ..., \"color\": [r, g, b]}", where, index);
    const json_t *name = json_object_get(item, "name"), *color = json_object_get(item, "color"), *id = json_object_get(item, "id"),
                 *background = json_object_get(item, "background");
    if (!json_is_string(name)) return kerb_fail(error, KERB_ERROR_ASSET, "%s: class %d has no \"name\" that is a text", where, index);
    const char *problem = kerb_name_problem(json_string_value(name), json_string_length(name));
    if (problem) return kerb_fail(error, KERB_ERROR_ASSET, "%s: class %d: %s", where, index, problem);
    uint8_t rgb[3];
    if (!kerb_json_color(color, rgb))
        return kerb_fail(error, KERB_ERROR_ASSET, "%s: class %d (\"%s\") needs a \"color\": [r, g, b] with 0 to 255 each, or \"#rrggbb\"", where, index,
                         json_string_value(name));
    if (id && (!json_is_integer(id) || json_integer_value(id) < -1 || json_integer_value(id) > INT32_MAX))
        return kerb_fail(error, KERB_ERROR_ASSET, "%s: class %d (\"%s\"): \"id\" must be a whole number from -1 on", where, index, json_string_value(name));
    if (background && !json_is_boolean(background))
        return kerb_fail(error, KERB_ERROR_ASSET, "%s: class %d (\"%s\"): \"background\" must be true or false", where, index, json_string_value(name));
    int twin;
    if (!kerb_classes_add(out, json_string_value(name), json_string_length(name), rgb, id ? (int)json_integer_value(id) : -1, &twin))
        return kerb_fail(error, KERB_ERROR_ASSET, "%s: class %d has the name \"%s\" of class %d; classes are chosen by name, so give it another", where, index,
                         json_string_value(name), twin);
    if (background) out->classes[index].is_background = json_is_true(background);
    return KERB_OK;
}

static KerbStatus kerb_classes_read_json(KerbClassTable *out, const char *json, size_t bytes, const char *where, KerbError *error)
{
    json_error_t at;
    json_t *root = json_loadb(json, bytes, JSON_REJECT_DUPLICATES, &at);
    if (!root) return kerb_fail(error, KERB_ERROR_ASSET, "%s:%d: not JSON: %s", where, at.line, at.text);
    const json_t *list = json_is_object(root) ? json_object_get(root, "classes") : root;
    size_t n = json_array_size(list);
    KerbStatus status = KERB_OK;
    if (!json_is_array(list)) status = kerb_fail(error, KERB_ERROR_ASSET, "%s: expected a list of classes, or an object with one in \"classes\"", where);
    else if (n < 1 || n > KERB_MAX_CLASSES)
        status = kerb_fail(error, KERB_ERROR_ASSET, "%s: %zu classes; need 1 to %d", where, n, KERB_MAX_CLASSES);
    for (size_t i = 0; status == KERB_OK && i < n; i++) status = kerb_classes_read_item(out, json_array_get(list, i), where, error);
    json_decref(root);
    return status;
}

/* ----------------------------------------------------------------------------------------------------------- files */

static bool kerb_looks_like_json(const char *text, size_t bytes, const char *path)
{
    size_t n = strlen(path);
    if (n >= 5 && !strcasecmp(path + n - 5, ".json")) return true;
    size_t i = 0;
    while (i < bytes && (kerb_is_blank(text[i]) || text[i] == '\n' || text[i] == '\r')) i++;
    return i < bytes && (text[i] == '{' || text[i] == '[');
}

KerbStatus kerb_classes_read(KerbClassTable *out, const char *path, KerbError *error)
{
    memset(out, 0, sizeof(*out));
    KerbMapping file;
    KerbStatus status = kerb_map_file(path, &file, error);
    if (status != KERB_OK) return status;
    const char *text = (const char *)file.data;
    size_t bytes = file.bytes;
    if (bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) text += 3, bytes -= 3;
    if (!bytes) status = kerb_fail(error, KERB_ERROR_ASSET, "%s: the file is empty; expected lines of `name r g b`, or JSON", path);
    else if (bytes > KERB_CLASSES_MAX_BYTES)
        status = kerb_fail(error, KERB_ERROR_ASSET, "%s: %zu bytes are too many for a list of classes (at most %d); is it another file?", path, bytes,
                           KERB_CLASSES_MAX_BYTES);
    else if (kerb_looks_like_json(text, bytes, path)) status = kerb_classes_read_json(out, text, bytes, path, error);
    else status = kerb_classes_read_text(out, text, bytes, path, error);
    kerb_unmap(&file);
    if (status != KERB_OK) memset(out, 0, sizeof(*out));
    return status;
}

KerbStatus kerb_classes_parse_json(KerbClassTable *out, const char *json, const char *where, KerbError *error)
{
    memset(out, 0, sizeof(*out));
    KerbStatus status = kerb_classes_read_json(out, json, strlen(json), where, error);
    if (status != KERB_OK) memset(out, 0, sizeof(*out));
    return status;
}
