"use strict";
// GraphiQL with ready operations, for who is signed in. Tokens, and all that is typed here, stay in this page's memory:
// variables may hold passwords, and the machine in a garage is shared.
(() => {
  const $ = (id) => document.getElementById(id);
  const READY = JSON.parse($("ready").textContent);
  const SIGN_IN = `mutation($email: String!, $password: String!) {
    signIn(input: { email: $email, password: $password }) {
      ... on SignInSuccess { accessToken refreshToken expiresAt viewer { user { name email } } }
      ... on UserError { message }
    }
  }`;
  const REFRESH = `mutation($token: String!) {
    refreshSignIn(input: { refreshToken: $token }) {
      ... on SignInSuccess { accessToken refreshToken expiresAt }
      ... on UserError { code message }
    }
  }`;
  const SIGN_OUT = "mutation { signOut(input: {}) { ... on DoneSuccess { isDone } } }";
  const FIRST = `{
    installations(first: 1) { nodes { id chargers(first: 1) { nodes { id } } } }
    chargers(first: 1, where: { viewerMayCharge: true }) { nodes { id } }
  }`;
  const EARLY_MS = 60_000;  // An access token is renewed so long before it expires,
  const LAST_MS = 5_000;    // and not used any more when it has so little left.
  const AGAIN_MS = 10_000;  // After a renewal that did not reach the server.

  let tokens = null;
  let renewal = null;
  let alarm = 0;
  let ahead = 0;  // By how much the server's clock is ahead of this machine's, which may be wrong by hours.

  const send = async (query, variables, token) => {
    const headers = { "Content-Type": "application/json" };
    if (token) headers.Authorization = `Bearer ${token}`;
    const response = await fetch(location.pathname, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
    ahead = (Date.parse(response.headers.get("Date")) || Date.now()) - Date.now();
    return response.json();
  };

  const leftMs = () => Date.parse(tokens.expiresAt) - Date.now() - ahead;

  const say = (words) => { $("who").textContent = words; };

  const keep = (given) => {
    tokens = given;
    clearTimeout(alarm);
    if (!given) return;
    renewIn(Math.max(leftMs() - EARLY_MS, leftMs() / 2, AGAIN_MS));
  };

  // What is asked next tries again, and says so when it fails.
  const renewIn = (ms) => { alarm = setTimeout(() => renew().catch(() => {}), ms); };

  // A refresh token is good for one refresh: whoever asks meanwhile waits for the same.
  const renew = () => renewal ??= (async () => {
    const used = tokens;
    try {
      const given = (await send(REFRESH, { token: used.refreshToken })).data?.refreshSignIn;
      if (tokens !== used) return;
      if (given?.accessToken) keep(given);
      else if (given?.code === "TOKEN_EXPIRED") signedOut("The sign-in has ended. Sign in again.");
      else renewIn(AGAIN_MS);
    } catch (error) {
      if (tokens === used) renewIn(AGAIN_MS);
      throw error;
    } finally {
      renewal = null;
    }
  })();

  const accessToken = async () => {
    if (tokens && leftMs() < LAST_MS) await renew();
    return tokens?.accessToken;
  };

  const authorized = async (url, init) => {
    const headers = new Headers(init.headers);
    const token = await accessToken();
    if (token && !headers.has("Authorization")) headers.set("Authorization", `Bearer ${token}`);
    return fetch(url, { ...init, headers });
  };

  const connectionParams = async () => {
    const token = await accessToken();
    return token ? { Authorization: `Bearer ${token}` } : {};
  };

  // Variables are known by their names, in every ready operation.
  const day = (date) => [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((n) => String(n).padStart(2, "0")).join("-");
  const now = new Date();
  const month = new Date(now.getFullYear(), now.getMonth(), 1);
  const known = { since: month.toISOString(), from: day(month), to: day(new Date(now.getFullYear(), now.getMonth() + 1, 1)) };
  const filled = ({ variables }) => variables.length
    ? JSON.stringify(Object.fromEntries(variables.map((name) => [name, known[name] ?? ""])), null, 2)
    : "";
  const asGiven = () => READY.map((one) => ({ query: one.query, variables: filled(one) }));

  const root = ReactDOM.createRoot($("graphiql"));
  let tabs = asGiven();
  let pane = null;
  let socket = null;
  let generation = 0;

  const show = () => {
    socket?.dispose();
    const url = location.href.replace(/^http/, "ws").split(/[?#]/)[0];
    socket = graphqlWs.createClient({ url, connectionParams, retryAttempts: 20 });
    const fetcher = GraphiQL.createFetcher({
      url: location.pathname, fetch: authorized, wsClient: socket, enableIncrementalDelivery: false,
    });
    root.render(React.createElement(GraphiQL, {
      key: ++generation, fetcher, storage: null, defaultTabs: tabs, variables: tabs[0].variables,
      defaultEditorToolsVisibility: "variables", showPersistHeadersSettings: false,
      visiblePlugin: pane,
      onTogglePluginVisibility: (plugin) => { pane = plugin?.title ?? null; },
      onTabChange: (state) => { tabs = state.tabs.map(({ query, variables, headers }) => ({ query, variables, headers })); },
    }));
  };

  // What was not touched is filled in anew; what somebody wrote stays as it is.
  const showFor = async (token) => {
    const before = asGiven();
    delete known.installation;
    delete known.charger;
    const found = token ? (await send(FIRST, {}, token)).data : null;
    const installation = found?.installations.nodes[0];
    if (installation) known.installation = installation.id;
    const charger = found?.chargers.nodes[0] ?? installation?.chargers.nodes[0];
    if (charger) known.charger = charger.id;
    const after = asGiven();
    tabs = tabs.map((tab) => {
      const index = before.findIndex((one) => one.query === tab.query && one.variables === (tab.variables ?? ""));
      return index < 0 ? tab : after[index];
    });
    show();
  };

  const signedIn = async (given) => {
    keep(given);
    const { user } = given.viewer;
    $("sign-in").hidden = true;
    $("sign-out").hidden = false;
    say(user ? `${user.name} · ${user.email}` : "signed in");
    await showFor(given.accessToken);
  };

  const signedOut = (words) => {
    keep(null);
    $("sign-in").hidden = false;
    $("sign-out").hidden = true;
    say(words);
    showFor(null);
  };

  $("sign-in").addEventListener("submit", async (event) => {
    event.preventDefault();
    say("signing in…");
    try {
      const answer = await send(SIGN_IN, { email: $("email").value, password: $("password").value });
      const result = answer.data?.signIn;
      $("password").value = "";
      if (result?.accessToken) await signedIn(result);
      else say(result?.message ?? answer.errors?.[0]?.message ?? "The portal did not answer.");
    } catch (error) {
      say(`No answer: ${error.message}`);
    }
  });

  $("sign-out").addEventListener("click", async () => {
    try {
      const token = await accessToken();
      signedOut("not signed in");
      await send(SIGN_OUT, {}, token);
    } catch (error) {
      signedOut(`Signed out here; the portal did not hear of it: ${error.message}`);
    }
  });

  // The dialogs of GraphiQL bring a style of their own.
  globalThis.__webpack_nonce__ = document.currentScript.nonce;
  show();
})();
