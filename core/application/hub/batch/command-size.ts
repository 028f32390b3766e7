/** Rough cost of a waiting command: its memory, its share of a batch, and how late it is. */
import { encodedBytes } from '../../../domain/encoded-text.ts';
import { bodyCharacters } from '../../../domain/task/task.ts';
import type { Clock } from '../../../ports/clock.ts';
import type { Command, ReportBody, TaskDraft } from './commands.ts';

/** A command without any text. */
const COMMAND_BYTES = 256;

/** Looking up this many dependencies of a draft costs as much as writing one task. */
const DEPENDENCIES_PER_WORK = 8;

/** Roughly how many task rows it reads or writes; `Infinity`: it needs a batch of its own. */
export function workOf(command: Command): number {
  switch (command.kind) {
    case 'submit':
      return command.drafts.reduce((sum, { dependsOn }) => sum + 1 + dependsOn.length / DEPENDENCIES_PER_WORK, 0);
    case 'identify':
      return 1 + (command.held?.length ?? 0);
    case 'remove_old':
      return Infinity;
    default:
      return 1;
  }
}

/** Its client data in bytes: two for each UTF-16 unit. */
export function sizeOf(command: Command): number {
  switch (command.kind) {
    case 'submit':
      return command.drafts.reduce((sum, draft) => sum + draftSize(draft), COMMAND_BYTES);
    case 'push':
      return COMMAND_BYTES + draftSize(command.draft);
    case 'report':
      return COMMAND_BYTES + (command.characters ?? reportCharacters(command.body)) * 2;
    case 'mail':
      return COMMAND_BYTES + command.frame.length * 2;
    case 'presence':
      return COMMAND_BYTES + (command.change.what === 'resources' ? encodedBytes(command.change.resources) * 2 : 0);
    default:
      return COMMAND_BYTES;
  }
}

const draftSize = ({ body }: TaskDraft): number => COMMAND_BYTES + bodyCharacters(body) * 2;

function reportCharacters(body: ReportBody): number {
  const details = 'details' in body && body.details !== null ? encodedBytes(body.details) : 0;
  return body.report === 'complete' ? details + body.result.length : details;
}

/**
 * How late a sweep is: its wait in the inbox or, if the store's clock jumped during that wait, the size of the jump, whichever is larger.
 * 0 for other commands.
 */
export function sweepDelayMs(command: Command, storeNowMs: number, clock: Clock): number {
  if (command.kind !== 'sweep' || command.posted === undefined) return 0;
  const waitedMs = clock.monotonicMs() - command.posted.atMonotonicMs;
  const clockJumpMs = Math.abs(storeNowMs - command.posted.atMs - waitedMs);
  return Math.max(waitedMs, clockJumpMs);
}

/** Commands whose rows are nearly always known without asking the store: a batch of these may be decided while another is being saved. */
export const mayRunEarly = ({ kind }: Command): boolean => kind === 'submit' || kind === 'push' || kind === 'report';
