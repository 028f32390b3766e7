/** What a hostile agent sends about tasks that it was not assigned, and invalid frames. */
import type { Task } from '../../../core/domain/task/task.ts';
import type { Chance } from '../seeded-chance.ts';

/** What it must know about a task to lie about it. */
export type Named = Pick<Task, 'id' | 'generation'>;
export type Frame = Readonly<Record<string, unknown>>;

export const REPORTS = [
  'task_complete',
  'task_failed',
  'task_accepted',
  'task_rejected',
  'task_progress',
  'wake_result',
  'task_recovering',
  'state_report',
  'task_cancel_ack',
] as const;
export type ReportKind = (typeof REPORTS)[number];

/** Frames of one burst. */
const FRAMES = [1, 60] as const;
/** Characters of what is reported: mostly few, sometimes more than an event may hold, rarely almost a whole frame. */
const SIZES = [8, 8, 300, 300, 40_000, 40_000, 120_000] as const;
const HUGE = 900_000;
const HUGE_SHARE = 0.03;

/** The same frame again and again, or with another generation each time. */
export function reportFrames(kind: ReportKind, task: Named, version: 1 | 2, chance: Chance): readonly Frame[] {
  const isHuge = chance.is(HUGE_SHARE);
  const size = isHuge ? HUGE : chance.pick(SIZES);
  const text = 'x'.repeat(size);
  const times = size > 1_000 ? chance.between(1, isHuge ? 2 : 8) : chance.skewed(...FRAMES);
  const isNameless = version === 1 && chance.is(0.3);
  const isSame = chance.is(0.5);
  return Array.from({ length: times }, (_, place) => {
    const generation = isSame
      ? task.generation
      : chance.pick([task.generation, task.generation - 1, task.generation + 1, 1, Number.MAX_SAFE_INTEGER]);
    const name = { task_id: task.id, ...(isNameless ? {} : { generation: Math.max(0, generation) }) };
    return { type: kind, ...name, ...restOf(kind, text, place, chance) };
  });
}

function restOf(kind: ReportKind, text: string, place: number, chance: Chance): Frame {
  switch (kind) {
    case 'task_complete':
      return { result: { output: text, place }, tokens_used: 1_000_000 };
    case 'task_failed':
      return { error: text, retryable: chance.is(0.5), kind: 'agent_failed' };
    case 'task_progress':
      return { percent: place % 100, progress: { text } };
    case 'wake_result':
      return { status: 'failed', attempt: place, error: text };
    case 'task_rejected':
      return { reason: text.slice(0, 16_000) };
    case 'task_recovering':
      return { last_status: chance.pick(['working', 'accepted', 'waking']) };
    case 'state_report':
      return { status: 'working' };
    case 'task_cancel_ack':
      return { outcome: 'killed', survivors: [1] };
    case 'task_accepted':
      return {};
  }
}

const DEEP = 200;
const KEYS = 5_000;
const OVERSIZE = 1_100_000;

/** One frame that must be refused everywhere, or that is not valid. */
export function oddFrame(chance: Chance, task: Named | null): string {
  const name = { task_id: task?.id ?? 'task-0', generation: task?.generation ?? 1 };
  const nested = `${'['.repeat(DEEP)}${']'.repeat(DEEP)}`;
  return chance.pick([
    () => JSON.stringify({ type: 'task_complete', ...name, result: 'deep' }).replace('"deep"', nested),
    () =>
      JSON.stringify({
        type: 'task_complete',
        ...name,
        result: Object.fromEntries(Array.from({ length: KEYS }, (_, key) => [`k${key}`, key])),
      }),
    () => JSON.stringify({ type: 'task_progress', ...name, generation: 2 ** 53 }),
    () => JSON.stringify({ type: 'task_complete', ...name, generation: '1', result: { output: 'x'.repeat(50_000) } }),
    () => JSON.stringify({ type: 'task_complete', ...name, generation: -1, result: '\u0000\ud800' }),
    () => JSON.stringify({ type: 'task_complete', ...name, agent_id: 'agent-1', result: 'for another' }),
    () => JSON.stringify({ type: 'identify', agent_id: 'agent-1', token: 'none', held: [] }),
    () => JSON.stringify({ type: 'x'.repeat(2_000), ...name }),
    () => JSON.stringify({ type: 'message', to: 'agent-1', payload: 'x'.repeat(5_000) }),
    () => JSON.stringify({ type: 'task_failed', ...name, error: 'x'.repeat(OVERSIZE) }),
    () => '{"type":"task_complete","task_id":',
    () => '[]',
  ])();
}
