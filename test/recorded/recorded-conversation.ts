/**
 * The conversation of a sidecar and a hub, as a file: one line for each frame, in the order sent, and one for each
 * action in between. The file is named after the versions of the protocol and the release.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededIds } from '../product/twins/ids-seeded/seeded-ids.ts';
import type { RunScript, ScriptStep } from '../product/twins/runner-scripted/scripted-runner.ts';
import type { Ids } from '../../core/ports/chance.ts';
import type { AnyFrame } from '../core/hub/hub-rig.ts';

export type Side = 'hub' | 'sidecar';

export type Action =
  /** `connect`: the sidecar opens a connection. */
  | { readonly do: 'connect' | 'cut' | 'drain' | 'resume' }
  | { readonly do: 'submit'; readonly task_id: string; readonly description: string; readonly max_retries: number }
  | { readonly do: 'cancel'; readonly task_id: string };
export type SentFrame = { readonly from: Side; readonly frame: AnyFrame };

/** `at`: milliseconds since the start. */
export type Line = { readonly at: number } & (SentFrame | Action);

/** The token is what `hubRig` gives this agent. */
export const AGENT = 'worker-1';
export const TOKEN = `token of ${AGENT}`;
export const HUB_URL = 'ws://hub:4000/ws';

/** Numbers that proofs are made of: with the same numbers on each run, the recorded proofs stay valid. */
export const SIDECAR_IDS: Ids = { ...seededIds({ seed: 'recorded sidecar' }), secret: () => 'ab'.repeat(32) };
export const HUB_IDS: Ids = { ...seededIds({ seed: 'recorded hub' }), secret: () => 'cd'.repeat(32) };

export const fileOf = (name: string): string => join(import.meta.dirname, `${name}.ndjson`);

export const readConversation = (name: string): readonly Line[] =>
  readFileSync(fileOf(name), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

const DONE: ScriptStep = { afterMs: 0, event: { type: 'exited', exitCode: 0, signal: null, stderrTail: '' } };

/** What the agent does for a task, by its description: `works MS`, or `fails`. */
export function agentFor(description: string): RunScript {
  const [what, ms = '1000'] = description.split(' ');
  const begin: readonly ScriptStep[] = [
    { afterMs: 0, event: { type: 'woken' } },
    { afterMs: 10, event: { type: 'started', sessionId: 'session-1' } },
    { afterMs: 10, event: { type: 'progress', percent: 40, message: 'half of it' } },
    { afterMs: 10, event: { type: 'output', stream: 'stdout', text: 'a line\n' } },
  ];
  const end: ScriptStep =
    what === 'fails'
      ? { afterMs: Number(ms), event: { type: 'failed', phase: 'agent', message: 'it broke', retryable: true } }
      : { afterMs: Number(ms), event: { type: 'completed', output: { words: 3 }, tokensUsed: 120 } };
  return { steps: [...begin, end, DONE] };
}

/** Values that depend on defaults, clocks or chance, or are text for people: another value of the same kind also matches. */
const ANY_VALUE = /^(policy|process_id|hub_id|server_time|timestamp|passed|details)$|(_at|_ms)$/;

/**
 * Describes where `found` does not match the recording; null if it matches: a peer that understood the recorded frame
 * understands this one. Fields may be added, but none may be missing or change its meaning.
 */
export function misfit(recorded: unknown, found: unknown, at = 'the frame'): string | null {
  if (Array.isArray(recorded)) {
    if (!Array.isArray(found) || found.length !== recorded.length) return differs(at, recorded, found);
    return first(recorded.map((one, index) => misfit(one, found[index], `${at}[${index}]`)));
  }
  if (typeof recorded !== 'object' || recorded === null) return recorded === found ? null : differs(at, recorded, found);
  if (typeof found !== 'object' || found === null || Array.isArray(found)) return differs(at, recorded, found);
  const fields = found as Readonly<Record<string, unknown>>;
  return first(
    Object.entries(recorded).map(([key, one]) => {
      const place = at === 'the frame' ? key : `${at}.${key}`;
      if (!Object.hasOwn(fields, key)) return `${place} is missing`;
      if (!ANY_VALUE.test(key)) return misfit(one, fields[key], place);
      if (typeof one === 'object' && one !== null && !Array.isArray(one) && typeof fields[key] === 'object')
        return first(Object.keys(one).map((name) => (Object.hasOwn(fields[key] as object, name) ? null : `${place}.${name} is missing`)));
      return typeof one === typeof fields[key] ? null : differs(place, one, fields[key]);
    }),
  );
}

const first = (misfits: readonly (string | null)[]): string | null => misfits.find((one) => one !== null) ?? null;
const differs = (at: string, recorded: unknown, found: unknown): string =>
  `${at} is ${JSON.stringify(found)}, recorded was ${JSON.stringify(recorded)}`;
