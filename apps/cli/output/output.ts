/** Command output: tables and sentences for people, JSON for programs. Standard output gets only the results. */
import { AgentcomError, messageOf } from '../../../core/errors/agentcom-error.ts';
import type { CliEnvironment } from '../cli-environment.ts';
import { printable, printableJson, printableLines } from './printable.ts';
import { tableLines, type Column } from './text-table.ts';
import { timesIn, type Times } from './time-text.ts';

export type Color = 'green' | 'red' | 'yellow' | 'grey' | 'bold';
const CODES: Readonly<Record<Color, number>> = { green: 32, red: 31, yellow: 33, grey: 90, bold: 1 };

export interface Output {
  readonly json: boolean;
  /** For text output; JSON has milliseconds since 1970. */
  readonly times: Times;
  /** One line for people; control characters in it are escaped. Nothing with `--json`. */
  line(text: string, color?: Color): void;
  /** Text of several lines. */
  block(text: string): void;
  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): void;
  /** One JSON value on a line of its own; nothing without `--json`. */
  data(value: unknown): void;
  /** A note on standard error; nothing with `--json`. */
  note(text: string): void;
  /** An error on standard error; with `--json` one JSON object. */
  error(error: unknown): void;
}

/** Colors a text if colors are on. */
export type Paint = (text: string, color: Color | undefined) => string;

export const painterFor = ({ stdout, env }: Pick<CliEnvironment, 'stdout' | 'env'>): Paint => {
  const colors = hasColors(stdout, env);
  return (text, color) => (colors && color !== undefined ? `\u001b[${CODES[color]}m${text}\u001b[0m` : text);
};

export function outputFor(environment: CliEnvironment, json: boolean, isUtc = false): Output {
  const { stdout, stderr, env } = environment;
  const paint = painterFor(environment);
  const say = (text: string): void => {
    if (!json) stdout.write(`${text}\n`);
  };
  return {
    json,
    times: timesIn(isUtc),
    line: (text, color) => say(paint(printable(text), color)),
    block: (text) => say(printableLines(text)),
    table: (columns, rows) => {
      const width = stdout.isTTY === true ? stdout.columns : undefined;
      tableLines(columns, rows, width).forEach((line, index) => say(paint(line, index === 0 ? 'bold' : undefined)));
    },
    data: (value) => {
      if (json) stdout.write(`${printableJson(value)}\n`);
    },
    note: (text) => {
      if (!json) stderr.write(`${printableLines(text)}\n`);
    },
    error: (error) => {
      if (json) stderr.write(`${printableJson(errorJson(error))}\n`);
      else stderr.write(`${printableLines(errorText(error, (env['AGENTCOM_DEBUG'] ?? '') !== ''))}\n`);
    },
  };
}

/** `FORCE_COLOR` (other than `0` or `false`) turns colors on even without a terminal, as in Node itself. Without it, `NO_COLOR` turns them off. */
function hasColors({ isTTY }: CliEnvironment['stdout'], env: CliEnvironment['env']): boolean {
  const forced = env['FORCE_COLOR'] ?? '';
  if (forced !== '') return forced !== '0' && forced !== 'false';
  return isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

function errorJson(error: unknown): unknown {
  if (!AgentcomError.is(error)) return { error: 'AC_INTERNAL', message: messageOf(error) };
  return { error: error.code, message: error.message, details: error.details };
}

function errorText(error: unknown, withStack: boolean): string {
  const stack = withStack ? stacksOf(error).join('') : '';
  if (!AgentcomError.is(error)) {
    return `agentcom: internal error: ${messageOf(error)} (AC_INTERNAL). Please report it with the stack trace from AGENTCOM_DEBUG=1.${stack}`;
  }
  // After a list, the code has a line of its own.
  const gap = error.message.includes('\n') ? '\n' : ' ';
  return [`agentcom: ${error.message}${gap}(${error.code})`, ...answerDetails(error)].join('\n') + stack;
}

/** The stack of the error, and of each error that caused it. */
function stacksOf(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return [];
  return [`\n${error.stack ?? error.message}`, ...stacksOf(error.cause).map((stack) => stack.replace('\n', '\nCaused by: '))];
}

/** The hub's errors for single fields, unless its message already says it. */
function answerDetails({ message, details: said }: AgentcomError): string[] {
  const answer = said?.['answer'];
  const details = typeof answer === 'object' && answer !== null && 'details' in answer ? answer.details : undefined;
  if (!Array.isArray(details)) return [];
  const [only, ...others] = details as readonly Readonly<Record<string, unknown>>[];
  const isShown = (words: unknown): boolean => typeof words === 'string' && message.includes(words);
  const { line: onlyLine, detail } = only ?? {};
  if (others.length === 0 && isShown(detail) && (onlyLine === undefined || isShown(`line ${String(onlyLine)}:`))) return [];
  return details.map((detail: unknown) => {
    const { line, field, error, detail: words } = detail as Readonly<Record<string, unknown>>;
    const place = [line === undefined ? '' : `line ${String(line)}`, String(field ?? '')].filter((part) => part !== '').join(', ');
    return `  ${place === '' ? '(the body)' : place}: ${String(words ?? error)}`;
  });
}
