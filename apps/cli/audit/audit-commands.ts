/** `agentcom audit` and `agentcom audit verify`. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import type { AuditPlace } from '../../../core/domain/audit/audit-entry.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { AuditEntryJson } from '../../client/index.ts';
import type { Action, Context } from '../cli-context.ts';
import { EXIT_INTERRUPTED, EXIT_UNHEALTHY } from '../exit-codes.ts';
import type { Times } from '../output/time-text.ts';
import { parsePast, parseWhole } from '../parse.ts';
import { pagesAfter, verifyFile, verifyHub } from './verify-chain.ts';

/** How often to look for new entries, milliseconds. */
const FOLLOW_MS = 2_000;
/** Entries listed by default. */
const LISTED_DEFAULT = 100;

interface ListOptions {
  readonly follow?: boolean;
  readonly since?: number;
  readonly after?: number;
}

interface VerifyOptions {
  readonly head?: AuditPlace | null;
}

export function addAudit(program: Command, action: Action): void {
  const audit = program
    .command('audit')
    .description(`Print the audit log: who changed what, from where; the last ${LISTED_DEFAULT} entries by default`)
    .option('-f, --follow', 'print new entries until interrupted')
    .option('--since <time>', 'only entries since this time, such as 7d (ago) or 2026-03-01', parsePast)
    .option('--after <number>', 'only entries after this number; 0: all', parseWhole)
    .action(action(list));
  audit
    .command('verify [file]')
    .description('Verify the chain of the hub, or of a file that `agentcom audit --after 0 --json` printed')
    .option('--head <seq:hash>', 'an entry printed by an earlier check, which the chain must still contain', parsePlace)
    .action(
      action((context, options: VerifyOptions, file: string | undefined) => {
        if (Object.keys(audit.opts()).length === 0) return verify(context, options, file);
        throw new AgentcomError('AC_USAGE', 'audit verify checks the whole chain. Leave out --follow, --since and --after.');
      }),
    );
}

function parsePlace(text: string): AuditPlace {
  const [, seq, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (seq === undefined || hash === undefined) throw new InvalidArgumentError('Expected the number of an entry, a colon and its hash.');
  return { seq: Number(seq), hash };
}

async function list({ output, environment, hub, exitWith }: Context, { follow = false, since, after }: ListOptions): Promise<void> {
  const client = await hub();
  let last = after ?? 0;
  if (after === undefined && since === undefined) last = Math.max(0, (await client.audit.list({ limit: 1 })).head.seq - LISTED_DEFAULT);
  if (!output.json) output.note(`times: ${output.times.zone}`);
  const printNew = async (): Promise<void> => {
    for await (const { entries } of pagesAfter(client, last)) {
      for (const entry of entries) {
        last = entry.seq;
        if (since !== undefined && entry.at < since) continue;
        output.data(entry);
        output.line(lineOf(entry, output.times), entry.outcome === 'refused' ? 'yellow' : undefined);
      }
    }
  };
  await printNew();
  if (!follow) return;
  const signal = environment.interrupt();
  while (!signal.aborted) {
    // The pause rejects when interrupted.
    await Promise.allSettled([pause(FOLLOW_MS, undefined, { signal })]);
    if (!signal.aborted) await printNew();
  }
  exitWith(EXIT_INTERRUPTED);
}

function lineOf({ seq, at, actor, address, act, object, outcome, details }: AuditEntryJson, { moment }: Times): string {
  const who = `${actor.name ?? actor.id ?? 'nobody'} (${actor.role})`;
  const from = address === null ? '' : ` from ${address}`;
  const more = Object.entries(details)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${String(value)}`)
    .join(' ');
  const what = [act, object ?? '', outcome === 'done' ? '' : outcome, more].filter((text) => text !== '').join(' ');
  return `${seq}  ${moment(at)}  ${who}${from}  ${what}`;
}

async function verify({ output, hub, exitWith }: Context, { head = null }: VerifyOptions, file?: string): Promise<void> {
  const verified = file === undefined ? await verifyHub(await hub(), head) : await verifyFile(file, head);
  const { count, first, last, fault } = verified;
  output.data({ whole: fault === null, count, first, last, fault });
  if (fault !== null) {
    output.line(fault, 'red');
    return exitWith(EXIT_UNHEALTHY);
  }
  if (last === null || count === 0) return output.line('The chain is intact: it has no entries.', 'green');
  output.line(`The chain is intact: ${count} entries, ${first} to ${last.seq}.`, 'green');
  output.line(`Keep its head elsewhere, and verify against it later: --head ${last.seq}:${last.hash}`);
}
