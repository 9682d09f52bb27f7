"""What every search imports and builds, for the process from which they are forked."""

import tempfile
from pathlib import Path

import timm.models  # noqa: F401
from PIL import Image

import mgic_nas.cli
import mgic_nas.engine.controller
import mgic_nas.engine.executors.local
import mgic_nas.engine.executors.worker_process
import mgic_nas.engine.samplers.optuna_samplers
import mgic_nas.models
import mgic_nas.report._build
import mgic_nas.run
import mgic_nas.tasks.images.classification
import mgic_nas.train.loop
import mgic_nas.train.worker  # noqa: F401
from mgic_nas.engine.storage.study import StudyStore, read_study

Image.init()
with tempfile.TemporaryDirectory() as _folder:  # SQLAlchemy's mappers, the study's migrations
    StudyStore(Path(_folder), "study").close()
    read_study(Path(_folder))
