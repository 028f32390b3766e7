/** Which page belongs to which address. */
import type { JSX } from 'preact';
import { useEffect, useErrorBoundary } from 'preact/hooks';
import { canAdminister, canView, HubError } from '../hub/hub-requests.ts';
import { href, place } from '../hub/routing.ts';
import { Empty, ErrorNotice } from '../parts/notices.tsx';
import { visibleText } from '../parts/untrusted-text.tsx';
import { AgentPage } from './agent-page.tsx';
import { AgentsPage } from './agents-page.tsx';
import { AuditPage } from './audit-page.tsx';
import { DeadLettersPage } from './dead-letters-page.tsx';
import { OverviewPage } from './overview-page.tsx';
import { SubmitPage } from './submit-page.tsx';
import { TaskPage } from './task-page.tsx';
import { TasksPage } from './tasks-page.tsx';
import { TokensPage } from './tokens-page.tsx';

interface Shown {
  readonly title: string;
  readonly page: JSX.Element;
}

const TITLE_CHARACTERS = 80;
/** So that tabs and the browser's history tell tasks, and agents, apart. */
const named = (id: string): string => visibleText(id.slice(0, TITLE_CHARACTERS));

/** The navigation has no link to such a page, but an address may lead to it. */
const AdminsOnly = ({ what }: { readonly what: string }): JSX.Element => (
  <Empty title={`Your role may not ${what}.`}>Sign in with a token of the role admin.</Empty>
);

function shownAt(path: readonly string[]): Shown {
  const [first, second] = path;
  if (first === undefined) return canView() ? { title: 'Overview', page: <OverviewPage /> } : { title: 'Tasks', page: <TasksPage /> };
  if (first === 'tasks' && second !== undefined) return { title: named(second), page: <TaskPage key={second} id={second} /> };
  if (first === 'tasks') return { title: 'Tasks', page: <TasksPage /> };
  if (first === 'agents' && !canView()) return { title: 'Agents', page: <Empty title="Your role may not see agents." /> };
  if (first === 'agents' && second !== undefined) return { title: named(second), page: <AgentPage key={second} id={second} /> };
  if (first === 'agents') return { title: 'Agents', page: <AgentsPage /> };
  if (first === 'dead-letters') return { title: 'Dead letters', page: <DeadLettersPage /> };
  if (first === 'tokens' && !canAdminister()) return { title: 'Tokens', page: <AdminsOnly what="see the tokens" /> };
  if (first === 'tokens') return { title: 'Tokens', page: <TokensPage /> };
  if (first === 'audit' && !canAdminister()) return { title: 'Audit log', page: <AdminsOnly what="read the audit log" /> };
  if (first === 'audit') return { title: 'Audit log', page: <AuditPage /> };
  if (first === 'submit') return { title: 'Submit', page: <SubmitPage /> };
  return {
    title: 'Not found',
    page: (
      <Empty title="There is no such page.">
        Go to the <a href={href([])}>overview</a>.
      </Empty>
    ),
  };
}

/** The page of the address; if it cannot be shown, why, while the others stay usable. */
export function Pages(): JSX.Element {
  const { path } = place.value;
  const { title, page } = shownAt(path);
  const [thrown, tryAgain] = useErrorBoundary() as [unknown, () => void];
  useEffect(() => {
    document.title = `${title} · AgentCom`;
  }, [title]);
  useEffect(() => {
    if (thrown !== undefined) tryAgain();
  }, [path.join('/')]);
  if (thrown === undefined) return page;
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  return <ErrorNotice error={new HubError(0, 'failed', `This page cannot be shown: ${why}.`)} onRetry={tryAgain} />;
}
