/** The tasks of the quickstart and how each should end. */
import type { SubmitRequest } from '../client/index.ts';

export const ENDS = ['completed', 'dead_letter', 'cancelled'] as const;
export type End = (typeof ENDS)[number];

export interface ScriptedTask {
  /** Short, for the log and the table. */
  readonly name: string;
  readonly submit: SubmitRequest;
  readonly expected: End;
  /** Names of tasks that must complete first. */
  readonly after?: readonly string[];
  /** What the quickstart does to it once it shows progress. */
  readonly onProgress?: 'cancel' | 'kill sidecar';
}

/** The two sidecars: what each agent can do. */
export const AGENTS = { builder: ['code', 'docs'], counter: ['code', 'data'] } as const satisfies Record<string, readonly string[]>;
export type AgentName = keyof typeof AGENTS;

const DOCS = ['ARCHITECTURE.md', 'CHANGELOG.md', 'docs/errors.md', 'docs/protocol.md'];
const SAMPLES = ['examples/agent.mjs', 'agentcom.config.ts', 'package.json'];

const count = (description: string, files: readonly string[], paceMs: number, more: Readonly<Record<string, unknown>> = {}) => ({
  description,
  metadata: { files, pace_ms: paceMs, ...more },
});

export const TASKS: readonly ScriptedTask[] = [
  { name: 'low', expected: 'completed', submit: { ...count('Count the samples, whenever there is time', SAMPLES, 50), priority: 'low' } },
  {
    name: 'docs',
    expected: 'completed',
    submit: { ...count('Count and hash the pages', DOCS, 150), priority: 'high', needed_capabilities: ['docs'] },
  },
  {
    name: 'killed',
    expected: 'completed',
    onProgress: 'kill sidecar',
    submit: {
      ...count('Count slowly, while the sidecar is killed', [...DOCS, ...DOCS], 600),
      priority: 'urgent',
      needed_capabilities: ['data'],
    },
  },
  {
    name: 'failing',
    expected: 'dead_letter',
    submit: {
      ...count('Fail, be retried, and end in the dead-letter queue', SAMPLES, 50, { fail: 'the numbers do not add up' }),
      max_retries: 2,
      needed_capabilities: ['docs'],
    },
  },
  {
    name: 'cancelled',
    expected: 'cancelled',
    onProgress: 'cancel',
    submit: { ...count('Count for minutes, unless cancelled', [...DOCS, ...DOCS, ...DOCS], 20_000), needed_capabilities: ['docs'] },
  },
  {
    name: 'urgent',
    expected: 'completed',
    submit: { ...count('Count the samples before anything else', SAMPLES, 100), priority: 'urgent', needed_capabilities: ['docs'] },
  },
  { name: 'normal', expected: 'completed', submit: { ...count('Count the samples', SAMPLES, 100) } },
  {
    name: 'dependent',
    expected: 'completed',
    after: ['urgent', 'docs'],
    submit: { ...count('Count again once "urgent" and "docs" are done', SAMPLES, 50), priority: 'high' },
  },
];
