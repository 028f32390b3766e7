/** What a waiting command takes, roughly: of memory, and of a batch. */
import { encodedBytes } from '../../../domain/encoded-text.ts';
import { bodyCharacters } from '../../../domain/task/task.ts';
import type { Command, ReportBody, TaskDraft } from './commands.ts';

/** What a command without any text takes. */
const COMMAND_BYTES = 256;

/** Dependencies of a draft that are looked up in the time that a task takes to be written. */
const DEPENDENCIES_PER_WORK = 8;

/** About how many rows of tasks it reads or writes; `Infinity`: it wants a batch of its own. */
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

/** Bytes: what came from outside with it, in UTF-16 units as bytes twice over. */
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

/** What the hub itself must note in any case: at most one of each session, one sweep, one removal, one poll. */
export const isOurOwn = ({ kind }: Command): boolean =>
  kind === 'sweep' || kind === 'remove_old' || kind === 'disconnect' || kind === 'hub_started' || kind === 'poll';

/** What the bounds of the inbox are for what stops work: room that no flood of submits and reports takes. */
const RESERVED_SHARE = 1.25;

/** How much of the bounds of the inbox this command may fill. */
export const shareOf = ({ kind }: Command): number => (kind === 'cancel' || kind === 'agent_standing' ? RESERVED_SHARE : 1);
