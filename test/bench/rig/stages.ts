/** The stages of a task's life in the hub, and which code belongs to which: each sample of a profile belongs to exactly one stage. */
import type { CpuProfile } from './flame-graph.ts';
import { placeOf } from './profiler.ts';

/** The load of a hub: tasks submitted one per request, and the same while sidecars work on them. */
export const WORKLOADS = ['submit', 'together'] as const;
export type Workload = (typeof WORKLOADS)[number];

/** In the order in which a task passes them. */
export const STAGES = [
  'read',
  'authenticate',
  'check',
  'decide',
  'encode',
  'sqlite',
  'answer',
  'frame in',
  'frame out',
  'garbage',
  'other',
] as const;
export type Stage = (typeof STAGES)[number];

export const STAGE_TITLES: Readonly<Record<Stage, string>> = {
  read: 'the bytes, head and JSON of a request',
  authenticate: 'the token and the rate limits',
  check: 'schemas and bounds of bodies and frames',
  decide: 'queue, transitions, dispatcher',
  encode: 'rows as JSON, passing them to the database, and caching them',
  sqlite: "SQLite's thread",
  answer: 'the reply of a request',
  'frame in': 'the bytes and JSON of a frame, and its session',
  'frame out': 'a frame as JSON and bytes',
  garbage: 'collecting it on the main thread',
  other: 'node, its loop, log, metrics and clock',
};

/**
 * Folders, files and functions (after a space), named from the top of the tree without an extension; the longest that
 * matches a frame counts. A package or a module of node counts only if there is no own code on the stack.
 */
export const PLACES: Readonly<Record<Exclude<Stage, 'sqlite' | 'garbage'>, readonly string[]>> = {
  read: [
    'adapters/http',
    'adapters/kit',
    'adapters/transport-uws',
    'adapters/transport-ws/address-share',
    'adapters/transport-ws/http-front',
    'adapters/transport-ws/node-exchange',
    'core/protocol/client-address',
    'node:_http_common',
    'node:_http_incoming',
    'node:_http_server',
  ],
  authenticate: [
    'adapters/http/authenticate',
    'adapters/http/buckets',
    'adapters/http/cors',
    'adapters/http/session',
    'adapters/http/serve admit',
    'adapters/http/serve identify',
    'adapters/http/serve refuseAtDoor',
    'adapters/ids-system/system-digest',
    'apps/hub/origins',
    'core/application/hub/sessions/challenge',
    'core/application/hub/sessions/identify',
    'core/application/hub/upkeep/token-use',
    'core/application/logged-token',
    'core/domain/token-bucket',
    'core/protocol/enrol-proof',
    'core/protocol/proof',
  ],
  check: [
    'adapters/http/endpoints',
    'adapters/http/serve',
    'core/application/hub/sessions/checks-from-frame',
    'core/application/hub/sessions/report-from-frame',
    'core/domain/schema-mistakes',
    'core/protocol',
  ],
  decide: ['adapters/ids-system', 'core/application', 'core/domain', 'core/ports'],
  encode: ['adapters/storage-knex', 'adapters/storage-memory'],
  answer: [
    'adapters/http/api answered',
    'adapters/http/reply',
    'adapters/http/serve httpResponse',
    'adapters/kit/answer-http',
    'adapters/kit/own-answers',
    'adapters/transport-ws/node-exchange abort',
    'adapters/transport-ws/node-exchange answer',
    'adapters/transport-ws/node-exchange end',
    'adapters/transport-ws/node-exchange exchangeOf',
    'adapters/transport-ws/node-exchange write',
    'adapters/transport-ws/node-exchange writeHead',
    'core/protocol/responses',
    'core/protocol/task-json',
    'node:_http_outgoing',
    'node:_http_server resOnFinish',
  ],
  'frame in': ['adapters/transport-ws', 'core/application/hub/sessions', 'core/protocol/frame-parser', 'ws'],
  'frame out': [
    'adapters/transport-ws/peer-connection #corkThisTurn',
    'adapters/transport-ws/peer-connection send',
    'adapters/transport-ws/peer-connection uncork',
    'core/application/hub/sessions/frames-out',
    'core/application/hub/sessions/hub-session send',
    'core/application/hub/sessions/hub-session sendText',
    'core/protocol/task-body partsToWire',
  ],
  other: [
    'adapters/clock-system',
    'adapters/env-process',
    'adapters/archive-files',
    'adapters/log-pino',
    'adapters/metrics-prom',
    'apps',
    'core/config',
    'core/errors',
    'plugins',
  ],
};

const STAGE_OF_PLACE: ReadonlyMap<string, Stage> = new Map(
  Object.entries(PLACES).flatMap(([stage, places]) => places.map((place) => [place, stage as Stage])),
);
/** Code of the hub, not of packages or node. */
export const isOurs = (url: string): boolean => /^(?:core|adapters|apps|plugins)\//.test(placeOf(url));
/** TypeBox compiles a schema into functions with this name that are in no file. */
const COMPILED_CHECK = /^check_\d+$/;

type Frame = CpuProfile['nodes'][number]['callFrame'];

/** The stage of the nearest own frame, leaf first; otherwise of the nearest listed package or module; otherwise `other`. */
export function stageOf(stack: readonly Frame[]): Stage {
  if (stack[0]?.functionName === '(garbage collector)') return 'garbage';
  let ofPackage: Stage | null = null;
  for (const { functionName, url } of stack) {
    if (url === '' && COMPILED_CHECK.test(functionName)) return 'check';
    const file = fileOf(url);
    const stage = listedStage(file, functionName);
    if (isOurs(url)) return stage ?? 'other';
    ofPackage ??= stage;
  }
  return ofPackage ?? 'other';
}

/** Without its extension; empty for code that is in none. */
const fileOf = (url: string): string =>
  placeOf(url)
    .replace(/\.[cm]?[jt]s$/, '')
    .replace(/^node_modules\//, '');

/** Null: neither the function nor its file nor a folder around it is in the table. */
export function listedStage(file: string, functionName: string): Stage | null {
  const ofFunction = STAGE_OF_PLACE.get(`${file} ${functionName}`);
  if (ofFunction !== undefined) return ofFunction;
  for (let at = file; at !== ''; at = at.slice(0, Math.max(0, at.lastIndexOf('/')))) {
    const stage = STAGE_OF_PLACE.get(at);
    if (stage !== undefined) return stage;
  }
  return null;
}
