/** The bytes that a program allocates, from V8's sampling heap profiler in it, which is controlled through its inspector. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import WebSocket from 'ws';
import type { CpuProfile } from './flame-graph.ts';
import { round } from './result.ts';
import { byStage, type Stack } from './stage-times.ts';
import { STAGE_TITLES, STAGES, type Stage, type Workload } from './stages.ts';

/** The argument of node with which `inspectorIn` finds its inspector. */
export const INSPECTED = '--inspect=127.0.0.1:0';
/** Of the bytes that are allocated, about one in this many is sampled. */
const BYTES_PER_SAMPLE = 16_384;
/** How many functions are listed. */
const MOST = 8;

/**
 * Maximum bytes on V8's heap per task: a tenth above what was measured when they were set (`npm run bench -- --allocations`). A smaller
 * result is a reason to lower them.
 */
export const ALLOCATED_MAX: Readonly<Record<Workload, number>> = { submit: 31_500, together: 70_500 };

/** What the inspector reports. */
export interface AllocationNode {
  readonly callFrame: CpuProfile['nodes'][number]['callFrame'];
  readonly selfSize: number;
  readonly children: readonly AllocationNode[];
}

/** Per task, in bytes. */
export interface Allocations {
  readonly workload: Workload;
  readonly tasks: number;
  readonly bytes: number;
  readonly stages: readonly { readonly stage: Stage; readonly bytes: number }[];
  /** The functions that allocate most, with their stages. */
  readonly most: readonly { readonly what: string; readonly stage: Stage; readonly bytes: number }[];
}

/** `docs/results/bench-allocations.json`. */
export interface KeptAllocations {
  readonly date: string;
  readonly command: string;
  readonly machine: { readonly node: string };
  readonly allocations: readonly Allocations[];
}

/** The address of the inspector of a program that was started with `INSPECTED`, from what it printed. */
export function inspectorIn(logFile: string): string {
  const [, url] = /^Debugger listening on (ws:\S+)$/m.exec(readFileSync(logFile, 'utf8')) ?? [];
  if (url === undefined) throw new Error(`${logFile} does not say where the inspector listens`);
  return url;
}

/** All that the program allocates while `work` runs, whether or not it is collected meanwhile. */
export async function allocatedDuring(inspector: string, work: () => Promise<unknown>): Promise<AllocationNode> {
  const socket = new WebSocket(inspector);
  try {
    await once(socket, 'open');
    let id = 0;
    const call = async (method: string, params: object): Promise<{ readonly profile: { readonly head: AllocationNode } }> => {
      id += 1;
      const answered = once(socket, 'message') as Promise<[Buffer]>;
      socket.send(JSON.stringify({ id, method, params }));
      const [bytes] = await answered;
      const answer = JSON.parse(bytes.toString()) as { readonly result?: object; readonly error?: { readonly message: string } };
      if (answer.result === undefined) throw new Error(`the inspector refuses ${method}: ${answer.error?.message}`);
      return answer.result as never;
    };
    const collected = { includeObjectsCollectedByMajorGC: true, includeObjectsCollectedByMinorGC: true };
    await call('HeapProfiler.startSampling', { samplingInterval: BYTES_PER_SAMPLE, ...collected });
    await work();
    return (await call('HeapProfiler.stopSampling', {})).profile.head;
  } finally {
    socket.terminate();
  }
}

/** Divided by stage like CPU time (stages.ts). */
export function allocationsIn(head: AllocationNode, workload: Workload, tasks: number): Allocations {
  const stages = byStage(stacksIn(head));
  const all = [...stages].flatMap(([stage, functions]) => [...functions].map(([what, bytes]) => ({ what, stage, bytes: bytes / tasks })));
  const sum = (of: readonly { readonly bytes: number }[]): number => of.reduce((total, { bytes }) => total + bytes, 0);
  return {
    workload,
    tasks,
    bytes: sum(all),
    stages: STAGES.map((stage) => ({ stage, bytes: sum(all.filter((one) => one.stage === stage)) })).filter(({ bytes }) => bytes > 0),
    most: all.toSorted((a, b) => b.bytes - a.bytes).slice(0, MOST),
  };
}

function* stacksIn(node: AllocationNode, callers: Stack = []): Generator<readonly [Stack, number]> {
  const stack = [node.callFrame, ...callers];
  if (node.selfSize > 0) yield [stack, node.selfSize];
  for (const child of node.children) yield* stacksIn(child, stack);
}

const isOver = ({ workload, bytes }: Allocations): boolean => bytes > ALLOCATED_MAX[workload];
const inKiB = (bytes: number): string => round(bytes / 1_024);

/** For people. */
export function allocationLines(allocations: Allocations): readonly string[] {
  const { workload, tasks, bytes, stages, most } = allocations;
  const line = (name: string, size: number): string => `  ${name.padEnd(13)}${inKiB(size).padStart(7)}`;
  return [
    `allocations: ${workload} [sqlite + ws]: KiB a task, ${tasks} tasks`,
    ...stages.map((one) => line(one.stage, one.bytes)),
    `${line('all', bytes)}, at most ${inKiB(ALLOCATED_MAX[workload])}${isOver(allocations) ? ': over' : ''}`,
    ...most.map((one) => `    ${inKiB(one.bytes).padStart(7)}  ${one.what} (${one.stage})`),
  ];
}

/** The part `allocations` of the page. */
export function allocationsPart({ date, command, machine, allocations }: KeptAllocations): string {
  const [first] = allocations;
  const bytesOf = ({ stages }: Allocations, stage: Stage): number => stages.find((one) => one.stage === stage)?.bytes ?? 0;
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const named = STAGES.filter((stage) => allocations.some((one) => bytesOf(one, stage) > 0));
  return [
    `\`${command}\`, ${date.slice(0, 10)}, node ${machine.node}; ${first?.tasks.toLocaleString('en-US')} tasks each.`,
    '',
    row(['stage', ...allocations.map(({ workload }) => `${workload}, KiB`)]),
    row(['---', ...allocations.map(() => '--:')]),
    ...named.map((stage) => row([`${stage}: ${STAGE_TITLES[stage]}`, ...allocations.map((one) => inKiB(bytesOf(one, stage)))])),
    row(['**all**', ...allocations.map(({ bytes }) => inKiB(bytes))]),
    row(['at most', ...allocations.map((one) => `${inKiB(ALLOCATED_MAX[one.workload])}: ${isOver(one) ? '**over**' : 'kept'}`)]),
    ...allocations.flatMap(({ workload, most }) => [
      '',
      `Most for **${workload}**: ${most.map(({ what, bytes }) => `\`${what}\` ${inKiB(bytes)}`).join(', ')}.`,
    ]),
  ].join('\n');
}
