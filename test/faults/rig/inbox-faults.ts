/** Fails the Nth call of a sidecar's folders: preparing, withdrawing, scanning, removing. */
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import type { ResultInbox } from '../../../core/ports/result-inbox.ts';
import { CallCount } from './call-count.ts';

const FAILING: readonly (keyof ResultInbox)[] = ['open', 'prepare', 'scan', 'withdraw', 'withdrawAllExcept', 'remove'];

export interface InboxFaults {
  readonly count: CallCount;
  around(inbox: ResultInbox): ResultInbox;
}

export function failingInbox(): InboxFaults {
  const count = new CallCount();
  return {
    count,
    around: (inbox) =>
      new Proxy(inbox, {
        get(target, name, receiver) {
          const member: unknown = Reflect.get(target, name, receiver);
          if (typeof member !== 'function' || !(FAILING as readonly unknown[]).includes(name)) return member;
          return (...parts: unknown[]): unknown =>
            count.hits()
              ? Promise.reject(new AgentcomError('AC_JOURNAL_WRITE', `Cannot ${String(name)}: planted.`))
              : Reflect.apply(member, target, parts);
        },
      }),
  };
}
