/** `agentcom drain`, `resume` and `takeover`: whether an agent gets tasks, and which machine may be it. */
import type { Command } from 'commander';
import type { HubClient } from '../../client/index.ts';
import type { Action, Context } from '../context.ts';
import { exitCodeOf } from '../exit-codes.ts';

type Change = 'drain' | 'resume' | 'takeover';

const OUTCOMES: Readonly<Record<Change, string>> = {
  drain: 'finishes what it has and gets nothing new',
  resume: 'gets tasks again',
  takeover: 'may come back on another machine',
};

export function addStanding(program: Command, action: Action): void {
  program
    .command('drain <agents...>')
    .description('Give agents nothing new; what they have they finish')
    .action(action(change('drain')));
  program
    .command('resume <agents...>')
    .description('End a drain, or the pause of a machine that failed too often')
    .action(action(change('resume')));
  program
    .command('takeover <agents...>')
    .description('Let another machine take the identity of one that is gone')
    .action(action(change('takeover')));
}

/** Each by itself: one that is refused is told and the others go on; the first refusal decides the exit code. */
const change =
  (what: Change) =>
  async ({ output, hub, exitWith }: Context, _options: object, agentIds: readonly string[]): Promise<void> => {
    const client: HubClient = await hub();
    let firstFailure: unknown;
    for (const agentId of agentIds) {
      try {
        output.data(await client.change(agentId, what));
        output.line(`${agentId} ${OUTCOMES[what]}`);
      } catch (thrown) {
        firstFailure ??= thrown;
        output.error(thrown);
      }
    }
    if (firstFailure !== undefined) exitWith(exitCodeOf(firstFailure));
  };
