"""Plays the scenarios of `daruma bench recover` with a LangChain agent.

The agent is what the documentation of LangChain puts together for production:
create_agent with HumanInTheLoopMiddleware on the tools that need an approval,
ModelFallbackMiddleware, ModelRetryMiddleware, ToolRetryMiddleware, and
ModelCallLimitMiddleware so that it ends. Two configurations are recorded:

  langchain          ToolRetryMiddleware on all tools, its default
  langchain-careful  ToolRetryMiddleware on tools that only read

Nothing is judged here. The answers and the ledgers go into one JSON file, and
the oracle of `daruma bench recover` judges them. README.md says how to run it.
"""

import argparse
import datetime
import json
import multiprocessing
import os
import re
import shlex
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

os.environ["LANGSMITH_TRACING"] = "false"
os.environ["LANGCHAIN_TRACING_V2"] = "false"

import httpx
from langchain.agents import create_agent
from langchain.agents.middleware import (
    HumanInTheLoopMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    ToolRetryMiddleware,
)
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

PACKAGES = ["langchain", "langgraph", "langchain-openai"]
WAITS = {"max_retries": 2, "initial_delay": 0.2, "backoff_factor": 2.0, "max_delay": 2.0}


def seconds(text):
    """Reads a Go duration such as 1.5s or 400ms; None means the default of 30 s."""
    if not text:
        return 30.0
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    return sum(float(n) * units[u] for n, u in re.findall(r"([\d.]+)(ms|s|m|h)", text))


def make_tool(url, declared):
    function, spec = declared["function"], declared["daruma"]
    timeout = seconds(spec.get("timeout"))

    def call(**arguments):
        response = httpx.post(f"{url}/tools/{function['name']}", json=arguments, timeout=timeout)
        if response.status_code != 200:
            raise RuntimeError(f"status {response.status_code}: {response.text[:600]}")
        return response.text

    return StructuredTool(
        name=function["name"],
        description=function["description"] or function["name"],
        args_schema=function["parameters"],
        func=call,
    )


def needs_approval(spec):
    """The same rule as Daruma's: from risk high on, and payments."""
    if spec.get("approve"):
        return True
    risk = spec.get("risk") or ("critical" if spec.get("effect") == "payment" else "low")
    return risk in ("high", "critical")


class Approver:
    """A human who knows what was asked for: he allows exactly that, as often."""

    def __init__(self, act):
        self.act, self.given = act, {}

    def decide(self, tool, arguments):
        if self.act["refuse"]:
            return {"type": "reject", "message": "rejected: not today"}
        for allow in self.act["allow"]:
            if allow["tool"] != tool or allow["times"] == 0:
                continue
            if allow.get("args") is not None and allow["args"] != arguments:
                continue
            if self.given.get(tool, 0) >= allow["times"]:
                return {"type": "reject", "message": f"rejected: approved {self.given[tool]} times already"}
            self.given[tool] = self.given.get(tool, 0) + 1
            return {"type": "approve"}
        return {"type": "reject", "message": "rejected: nobody asked for this"}


def make_agent(url, brief, careful):
    declared = httpx.get(f"{url}/tools").json()["tools"]
    models = [
        ChatOpenAI(model=name, base_url=f"{url}/v1", api_key="none", timeout=brief["model_time"], max_retries=0)
        for name in brief["models"]
    ]
    gated = {t["function"]["name"]: {"allowed_decisions": ["approve", "reject"]} for t in declared if needs_approval(t["daruma"])}
    middleware = [ModelCallLimitMiddleware(run_limit=brief["steps"], exit_behavior="error")]
    if gated:
        middleware.append(HumanInTheLoopMiddleware(interrupt_on=gated))
    if models[1:]:
        middleware.append(ModelFallbackMiddleware(*models[1:]))
    middleware.append(ModelRetryMiddleware(on_failure="error", **WAITS))
    reads = [t["function"]["name"] for t in declared if t["daruma"].get("effect") == "read"]
    if not careful:
        middleware.append(ToolRetryMiddleware(**WAITS))
    elif reads:
        middleware.append(ToolRetryMiddleware(tools=reads, **WAITS))
    return create_agent(
        models[0], tools=[make_tool(url, t) for t in declared], middleware=middleware, checkpointer=InMemorySaver()
    )


def text_of(content):
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") if isinstance(part, dict) else str(part) for part in content)


def play(agent, brief, act, thread):
    config = {"configurable": {"thread_id": str(thread)}, "recursion_limit": 20 * brief["steps"]}
    human = Approver(act)
    request = {"messages": [{"role": "user", "content": act["input"]}]}
    try:
        while True:
            state = agent.invoke(request, config)
            if not state.get("__interrupt__"):
                return {"state": "answered", "said": text_of(state["messages"][-1].content)}
            asked = state["__interrupt__"][0].value["action_requests"]
            request = Command(resume={"decisions": [human.decide(a["name"], a["args"]) for a in asked]})
    except Exception as error:  # whatever it is, it is what the caller is handed
        return {"state": "failed", "said": f"{type(error).__name__}: {error}"[:2000]}


def effects(url):
    return [{"tool": e["tool"], "args": e["args"]} for e in httpx.get(f"{url}/ledger").json()["entries"]]


def one(url, brief, careful, pipe):
    """Plays the acts of a scenario, in a process that can be ended from outside."""
    agent = make_agent(url, brief, careful)
    for i, act in enumerate(brief["acts"]):
        pipe.send(play(agent, brief, act, i))
    pipe.close()


def run(name, serve, careful):
    server = subprocess.Popen(shlex.split(serve.replace("{}", name)), stdout=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://[\d.]+:\d+", server.stdout.readline()).group(0)
        brief = httpx.get(f"{url}/scenario").json()
        if brief["crash"]:
            return None  # needs a process that dies and a store on disk
        began, endings, read = time.monotonic(), [], 0
        here, there = multiprocessing.Pipe(duplex=False)
        player = multiprocessing.Process(target=one, args=(url, brief, careful, there), daemon=True)
        player.start()
        there.close()
        for _ in brief["acts"]:
            try:
                left = brief["deadline"] - (time.monotonic() - began)
                ending = here.recv() if here.poll(max(left, 0)) else {"state": "hang", "said": ""}
            except EOFError:
                ending = {"state": "failed", "said": "the process ended"}
            ledger = effects(url)
            ending["ledger"], read = ledger[read:], len(ledger)
            endings.append(ending)
            if ending["state"] == "hang":
                break
        player.kill()
        player.join()
        took = round(time.monotonic() - began, 2)
        endings[-1]["ledger"] += effects(url)[read:]
        return {"scenario": name, "digest": brief["digest"], "took": took, "acts": endings}
    finally:
        server.kill()
        server.wait()


def write(recordings, file):
    """Writes JSON with one run a line, so that changes can be read."""

    def line(value):
        return json.dumps(value, ensure_ascii=False)

    blocks = []
    for r in recordings:
        head = "".join(f"{line(k)}: {line(r[k])}, " for k in ("name", "date", "versions"))
        runs = ",\n".join(line(run) for run in r["runs"])
        blocks.append("{" + head + '"runs": [\n' + runs + "\n]}")
    file.write('{"recordings": [\n' + ",\n".join(blocks) + "\n]}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", required=True, help="command that serves one scenario on loopback and prints its address; {} is the name")
    parser.add_argument("--names", required=True, help="command that prints the names of the scenarios, one a line")
    parser.add_argument("--out", default="results.json")
    parser.add_argument("--only", default="", help="a part of the names")
    parser.add_argument("--parallel", type=int, default=6)
    options = parser.parse_args()
    multiprocessing.set_start_method("fork")
    names = subprocess.run(shlex.split(options.names), capture_output=True, text=True, check=True).stdout.split()
    names = [n for n in names if options.only in n]
    recordings = []
    for peer, careful in (("langchain", False), ("langchain-careful", True)):
        with ThreadPoolExecutor(options.parallel) as pool:
            runs = [r for r in pool.map(lambda n: run(n, options.serve, careful), names) if r]
        recordings.append({
            "name": peer,
            "date": datetime.date.today().isoformat(),
            "versions": {p: metadata.version(p) for p in PACKAGES},
            "runs": runs,
        })
        print(peer, len(runs), "scenarios")
    with open(options.out, "w", encoding="utf-8") as file:
        write(recordings, file)


if __name__ == "__main__":
    main()
