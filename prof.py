exec(open("theo.py").read().split("for m in")[0])
import logging
import time

import jax

jax.config.update("jax_log_compiles", True)
logging.getLogger("jax").setLevel(logging.WARNING)
t = time.process_time()
o = PopulationObjective(pr, FOCEI())
o(pr.start)
print("cpu", time.process_time() - t)
