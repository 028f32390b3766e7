/** What a page says when something is missing or has gone wrong. */
import type { ComponentChildren, JSX } from 'preact';
import type { HubError } from '../hub/hub-requests.ts';
import { LineText } from './untrusted-text.tsx';

export function ErrorNotice({ error, onRetry }: { readonly error: HubError | null; readonly onRetry?: () => void }): JSX.Element | null {
  if (error === null) return null;
  return (
    <div class="notice is-bad" role="alert">
      <LineText text={error.message} />
      {onRetry !== undefined && (
        <button type="button" class="small" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Nothing to show: what that means, and what to do. */
export const Empty = ({ title, children }: { readonly title: string; readonly children?: ComponentChildren }): JSX.Element => (
  <div class="empty">
    <p class="empty-title">{title}</p>
    {children !== undefined && <p>{children}</p>}
  </div>
);

export const Loading = (): JSX.Element => (
  <p class="loading" role="status">
    Loading…
  </p>
);

/** A part of a page, with a heading and what belongs beside it. */
export function Panel({ title, beside, children, id }: PanelProps): JSX.Element {
  return (
    <section class="panel" id={id} aria-label={title}>
      <header class="panel-head">
        <h2>{title}</h2>
        {beside !== undefined && <div class="panel-beside">{beside}</div>}
      </header>
      {children}
    </section>
  );
}

interface PanelProps {
  readonly title: string;
  readonly beside?: ComponentChildren;
  readonly children: ComponentChildren;
  readonly id?: string;
}
