/** The API's description of itself. Both answers are the same for everybody, and are built once, at the first request. */
import type { HttpApiDeps } from '../deps.ts';
import { DOCS_PAGE_CSP, docsPage } from '../openapi/docs-page.ts';
import { openApiDocument } from '../openapi/openapi-document.ts';
import { okText } from '../reply.ts';
import type { Handlers } from '../request.ts';

export function docsHandlers({ version }: HttpApiDeps): Pick<Handlers, 'openApi' | 'docsPage'> {
  let json: string | null = null;
  let html: string | null = null;
  return {
    openApi: () => okText((json ??= JSON.stringify(openApiDocument(version)))),
    docsPage() {
      html ??= docsPage(openApiDocument(version));
      return { status: 200, body: html, headers: { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': DOCS_PAGE_CSP } };
    },
  };
}
