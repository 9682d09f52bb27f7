"""Networks trained on a full recipe, several seeds each, and scored once on the test split.

A run's winners (:meth:`mgic_nas.Run.retrain`) or any network (:func:`mgic_nas.train_network`) become::

    ROOT/retrain/training.yaml              how they are trained
    ROOT/retrain/<network>/seed-<k>/        config.json, model.safetensors: a ``local-dir:`` for timm; result.json
    ROOT/retrain.csv                        a row a training

The executors of a search do the training. Killed at any moment it goes on from the latest checkpoint.
"""
