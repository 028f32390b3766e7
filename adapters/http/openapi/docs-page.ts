/** The OpenAPI document as a page: one file without scripts, which loads nothing. */
import { createHash } from 'node:crypto';
import type { JsonObject, OpenApiDocument, Operation, Parameter } from './openapi-document.ts';

const STYLE = `
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem}
h1{margin:.2em 0}h2{margin-top:2em;border-bottom:1px solid #8886}code,pre{font:13px/1.5 ui-monospace,monospace}
details{border:1px solid #8886;border-radius:6px;margin:.4em 0;padding:.4em .8em}summary{cursor:pointer}
.m{display:inline-block;min-width:4.2em;font-weight:700}.get{color:#0a6}.post{color:#06c}.delete{color:#c22}.d{color:#888}
table{border-collapse:collapse;width:100%}td,th{border-top:1px solid #8884;padding:.25em .5em;text-align:left;vertical-align:top}
pre{white-space:pre-wrap;margin:.3em 0}a{color:inherit}`;

/** Allows this page its style, and nothing else. */
export const DOCS_PAGE_CSP = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; frame-ancestors 'none'`;

export function docsPage(document: OpenApiDocument): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const sections = document.tags.map(({ name }) => {
    const own = operations.filter(({ operation }) => operation.tags.includes(name));
    return `<h2>${escaped(name)}</h2>${own.map((one) => operationHtml(one.method, one.path, one.operation)).join('')}`;
  });
  const schemas = Object.entries(document.components.schemas).map(
    ([name, schema]) => `<details id="${escaped(name)}"><summary><code>${escaped(name)}</code></summary>${fieldsHtml(schema)}</details>`,
  );
  const { title, version, description } = document.info;
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escaped(title)} API</title><style>${STYLE}</style></head><body>
<h1>${escaped(title)} API <span class="d">${escaped(version)}</span></h1>${paragraphs(description)}
<p>Also available as <a href="openapi.json">OpenAPI 3.1</a>.</p>${sections.join('')}<h2>Schemas</h2>${schemas.join('')}</body></html>`;
}

function operationHtml(method: string, path: string, operation: Operation): string {
  const { operationId, summary, description, parameters, requestBody, responses } = operation;
  const bodies = Object.entries(requestBody?.content ?? {}).map(
    ([type, { schema }]) =>
      `<p><b>Body</b> <code>${escaped(type)}</code>: ${typeHtml((schema['x-line'] as JsonObject | undefined) ?? schema)}</p>`,
  );
  const rows = Object.entries(responses).map(([status, response]) => {
    const [[type, content] = ['', undefined]] = Object.entries(response.content);
    const schema = content === undefined || Number(status) >= 400 ? '' : `<code>${escaped(type)}</code> ${typeHtml(content.schema)}<br>`;
    const headers = Object.keys(response.headers ?? {}).map((name) => ` <code>${escaped(name)}</code>`);
    return `<tr><td><b>${escaped(status)}</b>${headers.join('')}</td><td>${schema}${lines(response.description)}</td></tr>`;
  });
  return `<details id="${escaped(operationId)}"><summary><span class="m ${method}">${escaped(method.toUpperCase())}</span>
<code>${escaped(path)}</code> <span class="d">${escaped(summary)}</span></summary>${paragraphs(description)}
${parameters.length === 0 ? '' : `<table><tr><th>Parameter</th><th>In</th><th>Type</th></tr>${parameters.map(parameterHtml).join('')}</table>`}
${bodies.join('')}<table><tr><th>Status</th><th>Answer</th></tr>${rows.join('')}</table></details>`;
}

const parameterHtml = ({ name, in: place, required, description = '', schema }: Parameter): string =>
  `<tr><td><code>${escaped(name)}</code>${required ? ' (required)' : ''}</td><td>${place}</td><td>${typeHtml(schema)} ${escaped(description)}</td></tr>`;

/** The fields of an object as a table; for anything else its type. */
function fieldsHtml(schema: JsonObject): string {
  const properties = schema['properties'] as Readonly<Record<string, JsonObject>> | undefined;
  if (properties === undefined) return `<p>${typeHtml(schema)}</p>`;
  const required = (schema['required'] as readonly string[] | undefined) ?? [];
  const rows = Object.entries(properties).map(
    ([name, one]) =>
      `<tr><td><code>${escaped(name)}</code>${required.includes(name) ? '' : ' <span class="d">optional</span>'}</td><td>${typeHtml(one)}</td></tr>`,
  );
  return `<table>${rows.join('')}</table>`;
}

/** The type in a few words, with its bounds. */
function typeHtml(schema: JsonObject): string {
  const ref = schema['$ref'];
  if (typeof ref === 'string') {
    const name = escaped(ref.split('/').at(-1) ?? '');
    return `<a href="#${name}"><code>${name}</code></a>`;
  }
  const anyOf = schema['anyOf'] as readonly JsonObject[] | undefined;
  if (anyOf !== undefined) return anyOf.map(typeHtml).join(' or ');
  const options = schema['enum'] as readonly string[] | undefined;
  if (options !== undefined) return options.map((one) => `<code>${escaped(one)}</code>`).join(', ');
  if (schema['const'] !== undefined) return `<code>${escaped(JSON.stringify(schema['const']))}</code>`;
  const more = [...boundsOf(schema), ...(typeof schema['description'] === 'string' ? [schema['description']] : [])];
  const note = more.length === 0 ? '' : ` <span class="d">(${escaped(more.join(', '))})</span>`;
  const type = typeof schema['type'] === 'string' ? schema['type'] : 'any JSON value';
  if (type === 'array') return `array${note} of ${typeHtml((schema['items'] as JsonObject | undefined) ?? {})}`;
  if (type === 'object' && schema['properties'] !== undefined) return `object${note}${fieldsHtml(schema)}`;
  return `${escaped(type)}${note}`;
}

/** `1 to 128 characters`, `matches …`, `at most 50 items` */
const boundsOf = (schema: JsonObject): readonly string[] => [
  ...rangeText(schema['minLength'], schema['maxLength'], ' characters'),
  ...(schema['pattern'] === undefined ? [] : [`matches ${String(schema['pattern'])}`]),
  ...rangeText(schema['minimum'], schema['maximum'], ''),
  ...rangeText(schema['minItems'], schema['maxItems'], ' items'),
];

function rangeText(min: unknown, max: unknown, unit: string): readonly string[] {
  if (min === undefined && max === undefined) return [];
  if (min === undefined) return [`at most ${String(max)}${unit}`];
  return [max === undefined ? `at least ${String(min)}${unit}` : `${String(min)} to ${String(max)}${unit}`];
}

const CODES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escaped = (text: string): string => text.replace(/[&<>"']/g, (one) => CODES[one] ?? '');
const withCode = (text: string): string => escaped(text).replace(/`([^`]+)`/g, '<code>$1</code>');
const lines = (text: string): string => text.split('\n').map(withCode).join('<br>');
const paragraphs = (text: string): string =>
  text
    .split('\n\n')
    .map((one) => `<p>${withCode(one)}</p>`)
    .join('');
