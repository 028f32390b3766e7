/** The dashboard: starts everything and shows it. */
import './styles/base.css';
import './styles/layout.css';
import './styles/parts.css';
import './styles/pages.css';
import './styles/output.css';
import 'uplot/dist/uPlot.min.css';
import { render } from 'preact';
import { App } from './app.tsx';
import { startLiveEvents } from './hub/live-events.ts';
import { startFigures } from './hub/figures.ts';
import { startSession } from './hub/hub-requests.ts';
import { startRouting } from './hub/routing.ts';
import { startClock } from './parts/moments.tsx';
import { startTheme } from './parts/theme.ts';
import { startKeys } from './parts/use-keys.ts';

startTheme();
startRouting();
startSession();
startClock();
startKeys();
startFigures();
startLiveEvents();
const root = document.getElementById('app');
if (root === null) throw new Error('The page has no place for the dashboard.');
render(<App />, root);
