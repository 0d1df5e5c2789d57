"""The loop: train, evaluate, observe, select, ask, record."""

import logging
import math
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from dense_al.acquisition import Acquisition, Selection, rng_for
from dense_al.adapters.task import Rounds, Task, TrainJob
from dense_al.engine.distribution import on_main
from dense_al.engine.initial import existing_labels
from dense_al.engine.places import billed_once, place_of_rows
from dense_al.engine.select import choose, observe_for, options_of
from dense_al.engine.store import INITIAL, RunStore
from dense_al.oracles import Asking, Oracle, answers_of_model
from dense_al.pool import Ledger, Units, counts_objects, price_kind, totals, views
from dense_al.registry import ConfigError
from dense_al.structures import MODEL, Answer, Budget, Query

logger = logging.getLogger('dense_al')


@dataclass(eq=False)
class Learner:
    """One active-learning run.

    Attributes:
        task: Data, model and training.
        units: The units the samples are divided into.
        acquisition: Chooses what to ask after each round.
        initial: Chooses the initial labels and needs no model; or (S,) samples labelled already.
        oracle: Answers.
        budget: Of each round.
        initial_budget: Of the initial labels.
        rounds: How many rounds and how they train.
        store: The run on disk.
        seed: Of the whole run, >= 0.
        describe: Plain description of the acquisition, recorded with each query.
        progress: Whether to show a bar while the pool is observed.
    """

    task: Task
    units: Units
    acquisition: Acquisition
    initial: Acquisition | np.ndarray
    oracle: Oracle
    budget: Budget
    initial_budget: Budget
    rounds: Rounds
    store: RunStore
    seed: int = 0
    describe: Any = None
    progress: bool = True

    def run(self, stop_after: tuple[int, str] | None = None) -> None:
        """Runs all rounds; steps that were committed before are not repeated.

        Args:
            stop_after: (round, step) to end after, step `train` or `round`.

        Raises:
            WaitingForAnswers: The oracle has not answered; run again when it has.
        """
        on_main(lambda: self.store.save_manifest(self.task.manifest))
        on_main(self._check_maps)
        self.label_initially()
        for round_number in range(self.rounds.count):
            self.run_round(round_number, stop_after)
            if stop_after is not None and stop_after[0] == round_number:
                return

    def run_round(self, round_number: int, stop_after: tuple[int, str] | None = None) -> None:
        """Trains, then asks for what the next round trains on."""
        begun = time.perf_counter()
        ledger = self.store.ledger(before=round_number)
        self.train(round_number, ledger, begun)
        if round_number == self.rounds.count - 1 or stop_after == (round_number, 'train'):
            self._report(round_number)
            return
        query = self.select(round_number, ledger)
        self._report(round_number)  # before people are asked, which may take days
        self.ask(round_number, query)

    def label_initially(self) -> None:
        """Draws and asks the initial labels, or takes those the user has."""
        if isinstance(self.initial, np.ndarray):
            samples = self.initial
            on_main(lambda: self._take_existing(samples))
            return
        query = self._chosen(INITIAL, self.initial, self.initial_budget, Ledger())
        self.ask(INITIAL, query)

    def _take_existing(self, samples: np.ndarray) -> None:
        if self.store.read(INITIAL, 'round') is None:
            query, answers = existing_labels(samples, self.task)
            self.store.write_query(INITIAL, query, None)
            self.store.commit(INITIAL, 'query', self._query_commit(INITIAL, query, {}))
            self._record(INITIAL, answers, {'ask': 0.0})

    def train(self, round_number: int, ledger: Ledger, begun: float) -> None:
        """Trains and evaluates on what is labelled; `begun` is when the round did."""
        commit = self.store.read(round_number, 'train')
        if commit is None:
            self.store.phase(f'{round_number}:train:begin')
            given = self.rounds.initial or {}
            ready = round_number == 0 and given.get('checkpoint') is not None
            step = self.task.evaluate if ready else self.task.train
            result = step(
                TrainJob(
                    round_number=round_number,
                    ledger=ledger,
                    units=self.units,
                    folder=self.store.folder(round_number) / 'train',
                    checkpoint=self.store.checkpoint(round_number),
                    load_from=self._start(round_number),
                    seed=int(rng_for(self.seed, round_number, 'train').integers(2**31)),
                )
            )
            self.store.phase(f'{round_number}:train:end')
            if self.rounds.metric not in result.metrics:
                raise ConfigError(
                    f'Expected `rounds.metric` to be one of {sorted(result.metrics)}, '
                    f'but got {self.rounds.metric!r}'
                )
            commit = self._train_commit(round_number, ledger, result)
            spent = time.perf_counter() - begun
            commit['seconds']['setup'] = spent - sum(commit['seconds'].values())
            write = partial(self.store.commit, round_number, 'train', commit)
            on_main(write)

    def _report(self, round_number: int) -> None:
        """One line about a round: what it reached, what that cost, and where the time went."""
        train = self.store.read(round_number, 'train') or {}
        query = self.store.read(round_number, 'query') or {}
        labelled = train['labelled']
        steps = {**train['seconds'], **query.get('seconds', {})}
        times = ', '.join(f'{k} {v:.1f} s' for k, v in steps.items() if k != 'forward')
        logger.info(
            'round %d  %s %.2f  labelled %.2f %% (%d units, %.1f h, %.0f clicks)  %s',
            round_number,
            train['metric'],
            math.nan if train['value'] is None else train['value'],
            100 * labelled['fraction'],
            labelled['units'],
            labelled['seconds'] / 3600,
            labelled['clicks'],
            times,
        )

    def select(self, round_number: int, ledger: Ledger) -> Query:
        """Observes the pool and chooses what to ask."""
        return self._chosen(round_number, self.acquisition, self.budget, ledger)

    def ask(self, round_number: int, query: Query) -> None:
        """Puts the query to the oracle and records its answers."""
        on_main(lambda: self._ask(round_number, query))

    def _ask(self, round_number: int, query: Query) -> None:
        if self.store.read(round_number, 'round') is not None:
            return
        begun = time.perf_counter()
        self.store.phase(f'{round_number}:ask:begin')
        answers = self.oracle.answer(
            Asking(
                query=query,
                folder=self.store.folder(round_number),
                manifest=self.task.manifest,
                units=self.units,
                classes=self.task.classes,
                read_label=self.task.read_label,
                rng=rng_for(self.seed, round_number, 'oracle'),
                form=self.task.form,
                ledger=self.store.ledger(before=round_number),
                budget=self._budget(round_number),
                place=place_of_rows(query, query.kind, self.units),
                scans=self.task.scans is not None,
            )
        )
        answers = billed_once(answers, self.units) + self._pseudo_labels(round_number)
        self._record(round_number, answers, {'ask': time.perf_counter() - begun})

    def _pseudo_labels(self, round_number: int) -> list[Answer]:
        """What the model says of the units it labels itself; the next round trains on it."""
        query = self.store.pseudo(round_number)
        if query is None:
            return []
        found = self.task.predict(
            self.store.checkpoint(round_number),
            np.unique(query.sample),
            frozenset({'probs'}),
            options_of(self.acquisition, self._asked_before(round_number), self.seed, round_number),
        )
        return answers_of_model(query, found, self.units, expires_round=round_number + 1)

    def _record(self, round_number: int, answers: list[Answer], seconds: dict[str, float]) -> None:
        """Writes the answers and commits the round."""
        begun = time.perf_counter()
        self.store.write_answers(round_number, answers)
        commit = self._round_commit(round_number, answers)
        commit['seconds'] = {**seconds, 'record': time.perf_counter() - begun}
        commit['overhead_seconds'] = self._overhead(round_number, commit['seconds'])
        self.store.commit(round_number, 'round', commit)

    def _overhead(self, round_number: int, seconds: dict[str, float]) -> float:
        """Seconds of the round outside training, evaluation and the forward passes."""
        train = (self.store.read(round_number, 'train') or {}).get('seconds', {})
        query = (self.store.read(round_number, 'query') or {}).get('seconds', {})
        observed = query.get('observe', 0.0) - query.get('forward', 0.0)
        own = train.get('setup', 0.0) + query.get('select', 0.0) + sum(seconds.values())
        return own + observed

    def _chosen(
        self, round_number: int, acquisition: Acquisition, budget: Budget, ledger: Ledger
    ) -> Query:
        """The round's query, from disk if it was committed."""
        if self.store.read(round_number, 'query') is not None:
            return self.store.query(round_number)
        begun = time.perf_counter()
        given = self.given(round_number, budget, ledger)
        self.store.phase(f'{round_number}:observe:begin')
        rows, forward = observe_for(
            acquisition,
            self.task,
            self.units,
            given,
            self.store.checkpoint(round_number),
            self._asked_before(round_number),
            seed=self.seed,
            progress=self.progress,
            on_half=lambda: self.store.phase(f'{round_number}:observe:half'),
        )
        observed = time.perf_counter()
        self.store.phase(f'{round_number}:select:begin')

        def commit() -> None:
            query, pseudo = choose(rows, acquisition, self.units, given)
            seconds = {
                'observe': observed - begun,
                'forward': forward,
                'select': time.perf_counter() - observed,
            }
            self.store.write_query(round_number, query, rows, pseudo)
            self.store.write_maps(round_number, self._digests(query))
            step = self._query_commit(round_number, query, seconds)
            self.store.commit(round_number, 'query', step)

        on_main(commit)
        return self.store.query(round_number)

    def _query_commit(
        self, round_number: int, query: Query, seconds: dict[str, float]
    ) -> dict[str, Any]:
        return {
            'round': round_number,
            'kind': query.kind,
            'acquisition': self.describe,
            'budget': asdict(self._budget(round_number)),
            'n_units': len(query),
            'seconds': seconds,
        }

    def _budget(self, round_number: int) -> Budget:
        return self.initial_budget if round_number == INITIAL else self.budget

    def given(self, round_number: int, budget: Budget, ledger: Ledger) -> Selection:
        """What the query of a round is chosen from."""
        return Selection(
            ledger=ledger,
            budget=budget,
            pool_elements=self.task.manifest.pool_elements,
            n_pool=self.task.manifest.n_pool,
            round_number=round_number,
            prices=self.prices,
            rng=rng_for(self.seed, round_number, 'select'),
            n_classes=len(self.task.classes),
            ask_declined_again=self.oracle.ask_declined_again,
        )

    def _digests(self, query: Query) -> dict[int, str]:
        """Sample -> hash of its map, for all whose regions are asked; {} for other units."""
        if query.kind != 'region':
            return {}
        return {sample: self.units.digest(sample) for sample in query.by_sample}

    def _check_maps(self) -> None:
        """Checks that regions that were asked are still the same pixels or points.

        Raises:
            ConfigError: A map has changed, even if no region has another size.
        """
        for round_number in range(INITIAL, self.rounds.count):
            for sample, digest in self.store.maps(round_number).items():
                if self.units.digest(sample) != digest:
                    raise ConfigError(
                        f'Expected the regions of `{self.task.manifest.names[sample]}` as they '
                        f'were asked in round {round_number}, but they have changed since; answers '
                        'to them would be put elsewhere'
                    )

    def _asked_before(self, round_number: int) -> list[Query]:
        """What was asked in the rounds before this one, initial labels first."""
        again = self.oracle.ask_declined_again
        return [self.store.asked(r, again) for r in range(INITIAL, round_number)]

    def prices(
        self,
        kind: str,
        size: np.ndarray,
        sample: np.ndarray,
        objects: np.ndarray | float,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Clicks and seconds (N,) that units which are not answered yet are expected to take.

        Args:
            kind: Kind of the units.
            size: (N,) their pixels or points.
            sample: (N,) the samples they lie in.
            objects: (N,) objects expected in each; they count where they are billed.
        """
        whole = self.task.manifest.areas[sample]
        oracle, form = self.oracle, self.task.form
        drawn = objects if counts_objects(kind, form) else 0.0
        priced = price_kind(kind, form, oracle.points, oracle.dominant)
        clicks, seconds = oracle.prices.of(priced, size, whole, drawn)
        points = 0.0 if kind == 'tags' else drawn * (oracle.points or 0)
        each = oracle.prices.of('point', np.ones(len(size)), whole)
        return clicks + points * each[0], seconds + points * each[1]

    def _start(self, round_number: int) -> Any:
        """Weights the round starts from."""
        if round_number == 0:
            return (self.rounds.initial or {}).get('checkpoint')
        if self.rounds.start == 'scratch':
            return None
        return self.store.checkpoint(0 if self.rounds.start == 'initial' else round_number - 1)

    def _train_commit(self, round_number: int, ledger: Ledger, result: Any) -> dict[str, Any]:
        labelled = asdict(ledger.totals())
        labelled['fraction'] = labelled['elements'] / self.task.manifest.pool_elements
        samples = {level: len(found) for level, found in views(ledger, round_number).items()}
        return {
            'round': round_number,
            'metric': self.rounds.metric,
            'value': result.metrics[self.rounds.metric],
            'metrics': result.metrics,
            'per_class': result.per_class,
            'classes': self.task.classes,
            'labelled': labelled,
            'samples': samples,  # each under the highest level of label it has
            'seconds': {'train': result.train_seconds, 'evaluate': result.evaluate_seconds},
            'exact': result.exact,
        }

    def _round_commit(self, round_number: int, answers: list[Answer]) -> dict[str, Any]:
        n = len(self.task.classes)
        given = len(answers)
        answers = [a for a in answers if a.source != MODEL]
        said = [label for a in answers if (label := a.label) is not None]
        counts = sum((label.class_counts(n) for label in said), np.zeros(n, np.int64))
        declined = sum(a.status == 'declined' for a in answers)
        return {
            'round': round_number,
            'answered': len(answers) - declined,
            'declined': declined,
            'pseudo_labels': given - len(answers),
            'cost': asdict(totals(answers)),
            'class_histogram': {c: int(counts[i]) for i, c in enumerate(self.task.classes)},
        }
