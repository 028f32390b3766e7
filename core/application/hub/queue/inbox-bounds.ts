/** How full the inbox may be, and for whom. */
import type { HubLimits } from '../../../config/limits.ts';
import type { Command } from '../batch/commands.ts';
import type { InboxEntry, PriorityInbox } from './inbox.ts';

/** Senders of which at most this part of the bound waits may fill the inbox to this multiple, so that a flood of others does not keep them out. */
const GRANTED_PART = 1 / 256;
const GRANTED_SHARE = 1.25;
/** Commands that stop work may fill it to this multiple, so that no flood of submits and reports keeps them out. */
const STOPPING_SHARE = 1.5;

/** Commands for which there is always room: each source has at most one queued. */
const isInternal = ({ kind }: Command): boolean =>
  kind === 'sweep' || kind === 'remove_old' || kind === 'disconnect' || kind === 'hub_started' || kind === 'hub_stopped' || kind === 'poll';

type Bounds = Pick<HubLimits, 'inboxCommands' | 'inboxBytes'>;

const isOver = (commands: number, bytes: number, { inboxCommands, inboxBytes }: Bounds, share: number): boolean =>
  commands >= inboxCommands * share || bytes > inboxBytes * share;

/** Whether the inbox has no room for this command. */
export function isFullFor(
  inbox: PriorityInbox<InboxEntry>,
  { command, bytes, isLowPriority }: { readonly command: Command; readonly bytes: number; readonly isLowPriority: boolean },
  bounds: Bounds,
): boolean {
  const isOverShare = (share: number): boolean => isOver(inbox.length, inbox.bytes + bytes, bounds, share);
  if (!isOverShare(1) || isInternal(command)) return false;
  if (command.kind === 'cancel' || command.kind === 'agent_control') return isOverShare(STOPPING_SHARE);
  if (isOverShare(GRANTED_SHARE)) return true;
  const own = inbox.waitingOf(command, isLowPriority);
  return isOver(own.commands, own.bytes + bytes, bounds, GRANTED_PART);
}
